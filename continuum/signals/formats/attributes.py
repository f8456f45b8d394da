"""Attributes of OTLP/JSON: typed values made plain, and lists that were written as numbered names put together again."""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from continuum.signals.formats.values import objects

NUMBER = re.compile(r"[0-9]{1,4}")
"""An index in a name; no call has ten thousand messages."""
MAX_NESTED = 100


def plain_attributes(attributes: Any) -> dict[str, Any]:
    """Attributes as a mapping of names to plain values; some exporters write the mapping itself."""
    if isinstance(attributes, Mapping):
        return dict(attributes)
    return {one["key"]: plain(one.get("value")) for one in objects(attributes) if isinstance(one.get("key"), str)}


def plain(value: Any, depth: int = 0) -> Any:
    """The value inside OTLP's `{"stringValue": ...}` and its likes."""
    if not isinstance(value, Mapping) or len(value) != 1 or depth > MAX_NESTED:
        return value
    ((kind, inner),) = value.items()
    if kind in ("stringValue", "boolValue", "doubleValue", "bytesValue"):
        return inner
    if kind == "intValue":
        return int(inner) if isinstance(inner, str) and re.fullmatch(r"-?[0-9]{1,20}", inner) else inner
    if kind == "arrayValue":
        return [plain(one, depth + 1) for one in objects(inner.get("values"))] if isinstance(inner, Mapping) else []
    if kind == "kvlistValue":
        pairs = objects(inner.get("values")) if isinstance(inner, Mapping) else []
        return {one["key"]: plain(one.get("value"), depth + 1) for one in pairs if isinstance(one.get("key"), str)}
    return value


def typed(value: Any) -> dict[str, Any]:
    """A value as OTLP writes it."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [typed(one) for one in value]}}
    return {"stringValue": value}


def typed_attributes(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Attributes as OTLP writes them, without those that are None."""
    return [{"key": name, "value": typed(value)} for name, value in attributes.items() if value is not None]


def numbered(attributes: Mapping[str, Any], prefix: str) -> list[Any]:
    """The list whose members were written as `prefix.0.role`, `prefix.0.content`, ..., at any depth."""
    tree: dict[str, Any] = {}
    for name, value in attributes.items():
        if name.startswith(f"{prefix}."):
            put(tree, name.removeprefix(f"{prefix}.").split("."), value)
    found = as_lists(tree)
    return found if isinstance(found, list) else []


def put(tree: dict[str, Any], steps: list[str], value: Any) -> None:
    """Put a value into a tree of dicts; where a leaf and a branch have one name the branch stays."""
    for step in steps[:-1]:
        inner = tree.get(step)
        if not isinstance(inner, dict):
            inner = tree[step] = {}
        tree = inner
    if not isinstance(tree.get(steps[-1]), dict):
        tree[steps[-1]] = value


def as_lists(tree: Any) -> Any:
    """The tree, with dicts whose keys are all numbers as lists in their order."""
    if not isinstance(tree, dict):
        return tree
    inner = {key: as_lists(value) for key, value in tree.items()}
    if inner and all(NUMBER.fullmatch(key) for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner


def without_prefix(value: Any, prefixes: Iterable[str]) -> Any:
    """A tree without the levels that only repeat what is in it, like `message` in `messages.0.message.role`."""
    names = frozenset(prefixes)
    if isinstance(value, list):
        return [without_prefix(one, names) for one in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for key, inner in value.items():
        bare = without_prefix(inner, names)
        found |= bare if key in names and isinstance(bare, dict) else {key: bare}
    return found


def hex_id(value: Any) -> str | None:
    """An id of a span or a trace in hexadecimal; base64 is what protobuf's own JSON writes."""
    if not isinstance(value, str) or not value:
        return None
    if re.fullmatch(r"(?:[0-9a-fA-F]{16}){1,2}", value):
        return value.lower()
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw.hex() if len(raw) in (8, 16) else None


def spans_in(content: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Path, resource attributes and span of each span of a document."""
    for r, resource in enumerate(objects(content.get("resourceSpans", content.get("resource_spans")))):
        about = resource.get("resource")
        attributes = plain_attributes(about.get("attributes")) if isinstance(about, Mapping) else {}
        scopes = resource.get("scopeSpans", resource.get("scope_spans", resource.get("instrumentationLibrarySpans")))
        for s, scope in enumerate(objects(scopes)):
            for index, span in enumerate(objects(scope.get("spans"))):
                yield f"resourceSpans.{r}.scopeSpans.{s}.spans.{index}", attributes, span
