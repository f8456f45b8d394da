"""A task's policy with some of its fields changed by their paths, as the command line changes them."""

from collections.abc import Mapping
from typing import Any

from continuum.errors import ConfigurationError
from continuum.policy import TaskPolicy
from continuum.strict import Refused


def amended(task: str, stored: Mapping[str, Any], changes: Mapping[str, Any]) -> TaskPolicy:
    """A task's policy with some fields changed.

    Args:
        task: its name, which no change may touch.
        stored: the policy as JSON. It need not be readable: a field that is missing or that no policy has takes the default.
        changes: paths such as `judge.model` or `guard.thresholds.tone.min_delta`, and their new values.

    Raises:
        ConfigurationError: a policy has no such field, or the result makes no sense.
    """
    fields: dict[str, Any] = {**_overlaid(TaskPolicy(task=task).model_dump(mode="json"), stored), "task": task}
    for name, value in changes.items():
        if name == "task":
            raise ConfigurationError(f"the policy of {task!r} cannot be moved to another task: `task` is its name")
        section: Any = fields
        *path, last = name.split(".")
        for depth, step in enumerate(path):
            if path[:depth] == ["guard", "thresholds"] and isinstance(section, dict):
                section.setdefault(step, {})
            section = section.get(step) if isinstance(section, dict) else None
        if not isinstance(section, dict) or (last not in section and path[:2] != ["guard", "thresholds"]):
            raise ConfigurationError(f"a policy has no field {name!r}; `continuum tasks show {task}` lists them")
        section[last] = value
    try:
        return TaskPolicy(**fields)
    except Refused as error:
        raise ConfigurationError(error.words) from error


def _overlaid(defaults: dict[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    fields = dict(defaults)
    for name in defaults.keys() & stored.keys():
        default, value = defaults[name], stored[name]
        if not isinstance(default, dict):
            fields[name] = value
        elif isinstance(value, Mapping):
            # A default without fields is a mapping whose names are the user's own.
            fields[name] = _overlaid(default, value) if default else dict(value)
    return fields
