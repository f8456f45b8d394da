"""A task's policy as a file that people keep beside their code: `continuum.yaml`.

What the file names is set, what it leaves out stays as it is; applying it twice changes nothing the second time. What a policy
does not know is refused with its line and the nearest name that it does know. No secret has a place in it: keys come from the
environment.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from continuum.amending import amended
from continuum.errors import ConfigurationError
from continuum.policy import TaskPolicy, checked_task_name
from continuum.strict import Refused

if TYPE_CHECKING:
    from continuum.store.database import Store

NAME = "continuum.yaml"
LONGEST_BYTES = 1_000_000
FREE = (("guard", "thresholds"),)
"""Sections whose names are the user's own."""


@dataclass(frozen=True)
class TaskFile:
    """A file that was read."""

    path: Path
    task: str
    values: Mapping[str, Any]
    """What it sets: the dotted path of a field to its value."""
    lines: Mapping[str, int]
    """The line of each, from 1."""


@dataclass(frozen=True)
class Change:
    """One field that applying a file changes."""

    field: str
    before: Any
    after: Any

    def words(self) -> str:
        """In one line."""
        return f"{self.field}: {self.before!r:.200} -> {self.after!r:.200}"


def read_task_file(path: Path) -> TaskFile:
    """Read a file, and refuse what a policy cannot hold.

    Raises:
        ConfigurationError: it is not there, is no YAML, or names or holds what a policy does not know; the message says the line.
    """
    try:
        if path.stat().st_size > LONGEST_BYTES:
            raise ConfigurationError(f"{path} is larger than {LONGEST_BYTES:,} bytes, which no policy is")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path} is not there; continuum init writes one") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read ({error}); it must be a file of text in UTF-8") from error
    return parsed_task_file(path, text)


def parsed_task_file(path: Path, text: str) -> TaskFile:
    """Read what is, or is to be, in a file, and refuse what a policy cannot hold; `path` is what errors name.

    Raises:
        ConfigurationError: as `read_task_file`.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        known = TaskPolicy(task="task").model_dump(mode="json")
        found = list(_leaves(path, root, known, (), set()))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{path}{where}: this is no YAML: {getattr(error, 'problem', None) or error}") from error
    values = {field: value for field, value, _ in found}
    lines = {field: line for field, _, line in found}
    task = values.pop("task", None)
    if not isinstance(task, str):
        raise ConfigurationError(f"{path}: it names no task; its first line is to be like `task: support`")
    checked_task_name(task)
    _checked(path, task, values, lines)
    return TaskFile(path, task, values, lines)


def changes_of(store: "Store", file: TaskFile) -> list[Change]:
    """What applying a file would change; nothing where the task is as it says."""
    stored = store.tasks.raw_policy(file.task)
    before = {} if stored is None else dict(_flat(amended(file.task, stored, {}).model_dump(mode="json")))
    after = dict(_flat(amended(file.task, stored or {}, file.values).model_dump(mode="json")))
    if stored is None:
        set_to = {field: after.get(field, value) for field, value in file.values.items()}
        return [Change(field, None, value) for field, value in set_to.items() if value is not None]
    return [
        Change(field, before.get(field), after.get(field))
        for field in sorted(before.keys() | after.keys())
        if before.get(field) != after.get(field)
    ]


def apply(store: "Store", file: TaskFile) -> list[Change]:
    """Make a task as a file says, and say what that changed; a task that is not there yet is registered.

    Raises:
        ConfigurationError: with what is stored beside it, the policy makes no sense; nothing is written.
    """
    changes = changes_of(store, file)
    if changes or store.tasks.raw_policy(file.task) is None:
        store.tasks.change(file.task, lambda stored: amended(file.task, stored, file.values))
    return changes


def _leaves(
    path: Path, node: yaml.Node | None, known: Any, above: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[str, Any, int]]:
    """Each field that the file sets: its dotted path, its value and its line."""
    if not isinstance(node, yaml.MappingNode):
        line = f":{node.start_mark.line + 1}" if node else ""
        raise ConfigurationError(f"{path}{line}: {'.'.join(above) or 'a task file'} has to be a mapping of names to values")
    names: set[str] = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigurationError(f"{path}:{line}: a name has to be a word")
        if id(value) in seen:
            raise ConfigurationError(f"{path}:{line}: anchors and aliases are not read here; write the value out")
        seen.add(id(value))
        field, free = ".".join((*above, key.value)), above in FREE
        if key.value in names:
            raise ConfigurationError(f"{path}:{line}: {field} is set a second time; leave one of them")
        names.add(key.value)
        if not free and key.value not in known:
            near = difflib.get_close_matches(key.value, known, 1) or [_elsewhere(key.value)]
            meant = f"; did you mean {'.'.join((*above, near[0])) if near[0] in known else near[0]}?" if near[0] else ""
            raise ConfigurationError(f"{path}:{line}: a policy has no field {field!r:.120}{meant}")
        below = None if free else known[key.value]
        if isinstance(below, dict) and isinstance(value, yaml.MappingNode):
            yield from _leaves(path, value, below, (*above, key.value), seen)
        else:
            yield field, _value(value), line


def _value(node: yaml.Node) -> Any:
    """The value of a node, with no objects but those that JSON has too."""
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _elsewhere(name: str) -> str:
    """The full path of a field of this name, where it belongs to another section."""
    return next(
        (field for field, _ in _flat(TaskPolicy(task="task").model_dump(mode="json")) if field.split(".")[-1] == name), ""
    )


def _flat(fields: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _checked(path: Path, task: str, values: Mapping[str, Any], lines: Mapping[str, int]) -> None:
    """Refuse values that make no sense, each with its line."""
    try:
        amended(task, {}, values)
    except ConfigurationError as error:
        reasons = error.__cause__.reasons if isinstance(error.__cause__, Refused) else (("", str(error)),)
        raise ConfigurationError("; ".join(f"{_place(path, field, lines)}: {why}" for field, why in reasons)) from error


def _place(path: Path, field: str, lines: Mapping[str, int]) -> str:
    """Where a field, or the first of a section, is set."""
    line = next((line for name, line in lines.items() if f"{name}.".startswith(f"{field}.")), None)
    return ": ".join(filter(None, (f"{path}:{line}" if line else str(path), field)))
