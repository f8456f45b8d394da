"""A rubric from a file that somebody wrote by hand, as YAML or JSON: a list of criteria, each with name, weight and description.

What is read is data and nothing else: no tags, no aliases, nothing that grows beyond what stands in the file.
"""

import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from continuum.errors import ConfigurationError
from continuum.excerpts import excerpt
from continuum.rubric import Criterion, check_rubric

MOST_BYTES = 64 * 1024
MOST_CRITERIA = 20
"""A judge that is asked for more in one answer reads none of them well."""
MOST_CHARACTERS = 2000
"""Of a description, or of what a score means."""
HEAVIEST = 1e6
FIELDS = ("name", "weight", "description", "anchors")
EXAMPLE = "- {name: tone, weight: 1, description: Professional and kind, anchors: {1: rude, 5: kind}}"


def read_rubric(path: Path) -> tuple[Criterion, ...]:
    """The criteria that a file holds, as they are written: their weights need not sum to 1.

    Raises:
        ConfigurationError: it cannot be read, or is no rubric; the message says where and what to write.
    """
    return checked_rubric(_content(path), str(path))


def checked_rubric(content: Any, path: str) -> tuple[Criterion, ...]:
    """The criteria that plain values hold, such as a list of mappings.

    Args:
        content: the values.
        path: where they are from, for errors.

    Raises:
        ConfigurationError: they are no rubric.
    """
    if isinstance(content, Mapping) and set(content) == {"criteria"}:
        content = content["criteria"]
    if not isinstance(content, list) or not content:
        raise ConfigurationError(f"{path} holds no list of criteria; write one entry for each, like: {EXAMPLE}")
    if len(content) > MOST_CRITERIA:
        raise ConfigurationError(f"{path} holds {len(content)} criteria; a judge is asked for {MOST_CRITERIA} at most")
    criteria = tuple(_criterion(path, number, entry) for number, entry in enumerate(content, start=1))
    try:
        check_rubric(criteria)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    return criteria


def _content(path: Path) -> Any:
    try:
        # A pipe or a device may never end.
        if not path.is_file():
            raise ConfigurationError(f"{path} is no file; name one that holds a rubric as YAML or JSON")
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or type(error).__name__}") from error
    if len(raw) > MOST_BYTES:
        raise ConfigurationError(f"{path} has more than {MOST_BYTES} bytes; a rubric is a page of criteria")
    try:
        text = raw.decode("utf-8-sig")
        return _json(text) if path.suffix.lower() == ".json" else _yaml(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        # What a parser says quotes the file; its kind and place are enough.
        place = getattr(error, "lineno", None)
        where = f" in line {place}" if place else ""
        raise ConfigurationError(f"{path} cannot be read as {_form(path)}{where}; write a list like: {EXAMPLE}") from error


def _form(path: Path) -> str:
    return "JSON" if path.suffix.lower() == ".json" else "YAML"


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_without_twins)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ConfigurationError(f"{excerpt(twin)!r} stands twice in one entry; leave one")
    return found


def _yaml(text: str) -> Any:
    import yaml

    class Plain(yaml.SafeLoader):
        """Reads plain values; what a file names once and uses often could grow without end."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ConfigurationError("a rubric has no use for aliases (*name); write out what is meant")
            return super().compose_node(parent, index)

    try:
        return yaml.load(text, Loader=Plain)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise ConfigurationError(f"it cannot be read as YAML{where}; write a list like: {EXAMPLE}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"it cannot be read as YAML; write a list like: {EXAMPLE}") from error


def _criterion(path: str, number: int, entry: Any) -> Criterion:
    def refuse(what: str) -> ConfigurationError:
        return ConfigurationError(f"{path}, criterion {number}: {what}")

    if not isinstance(entry, Mapping):
        raise refuse(f"it is {_kind(entry)}; write it like: {EXAMPLE}")
    if unknown := [name for name in entry if name not in FIELDS]:
        raise refuse(f"there is no field {excerpt(str(unknown[0]))!r}; a criterion has {', '.join(FIELDS)}")
    if missing := [name for name in FIELDS[:3] if name not in entry]:
        raise refuse(f"it has no {missing[0]}; write it like: {EXAMPLE}")
    name, weight = entry["name"], entry["weight"]
    if not isinstance(name, str) or len(name) > 100:
        raise refuse(f"its name is {_kind(name)}; write a word of letters, digits and _")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= HEAVIEST:
        shown = weight if isinstance(weight, float) else _kind(weight)
        if type(weight) in (int, float) and -HEAVIEST < weight <= 0:
            shown = f"{weight}, which is not above zero"
        raise refuse(f"its weight is {shown}; write a number above zero, {HEAVIEST:g} at most")
    description = _words(entry["description"])
    if description is None:
        raise refuse(f"its description must be a sentence of {MOST_CHARACTERS} printable characters at most")
    anchors = _anchors(entry.get("anchors"))
    if anchors is None:
        raise refuse("its anchors must say in a sentence each what some of the scores 1 to 5 mean, like {1: rude, 5: kind}")
    try:
        return Criterion(name, weight, description, anchors or None)
    except ConfigurationError as error:
        raise refuse(str(error)) from error


def _anchors(value: Any) -> dict[int, str] | None:
    """What scores mean; empty where nothing is said of them, None where it makes no sense."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        return None
    anchors: dict[int, str] = {}
    for score, meaning in value.items():
        words = _words(meaning)
        if isinstance(score, bool) or str(score) not in {"1", "2", "3", "4", "5"} or words is None:
            return None
        anchors[int(score)] = words
    return anchors


def _words(value: Any) -> str | None:
    """A text that can be shown and stored; None where it is none."""
    if not isinstance(value, str) or not value.strip() or len(value) > MOST_CHARACTERS:
        return None
    unseen = any(unicodedata.category(one) in ("Cc", "Cs", "Co", "Cn") and one not in "\n\t" for one in value)
    return None if unseen else value.strip()


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return f"the text {excerpt(value, 40)!r}"
    kinds = {type(None): "empty", bool: "yes or no", int: "a whole number", float: "a number", list: "a list", dict: "a mapping"}
    return kinds.get(type(value), type(value).__name__)
