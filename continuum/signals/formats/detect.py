"""Which format a file is written in, told by the shape of its first records."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from continuum.signals.formats.lines import Line

Format = Literal["plain", "openai", "otlp", "langfuse", "mlflow"]
LOOKED_AT = 50
"""Records that are looked at, for the first one that shows a format."""


def detected(records: Iterable[Line]) -> Format:
    """The format of the first record that shows one; plain where none does, so that each line is told what it lacks."""
    for record, _ in zip(records, range(LOOKED_AT), strict=False):
        if isinstance(record.content, Mapping) and (found := format_of(record.content)):
            return found
    return "plain"


def format_of(record: Mapping[str, Any]) -> Format | None:
    """The format of one record; None where it could be any."""
    if "resourceSpans" in record or "resource_spans" in record:
        return "otlp"
    if is_mlflow(record):
        return "mlflow"
    for name in ("traces", "data"):
        inner = record.get(name)
        if isinstance(inner, list) and inner and isinstance(inner[0], Mapping):
            return "openai" if record.get("object") == "list" else format_of(inner[0]) or "langfuse"
    if is_langfuse(record):
        return "langfuse"
    if "messages" in record and "response" in record and "request" not in record:
        return "plain"
    if is_openai(record):
        return "openai"
    return None


def is_mlflow(record: Mapping[str, Any]) -> bool:
    """Whether a record is a trace of MLflow."""
    data = record.get("data")
    return isinstance(record.get("info"), Mapping) and isinstance(data, Mapping) and "spans" in data


def is_langfuse(record: Mapping[str, Any]) -> bool:
    """Whether a record is a trace, an observation or a score of Langfuse, or the config of a score."""
    names = record.keys()
    return bool(
        {"traceId", "trace_id"} & names
        or ({"startTime", "start_time"} & names and {"input", "output"} <= names)
        or isinstance(record.get("trace"), Mapping)
        or isinstance(record.get("observations"), list)
        or ({"dataType", "data_type"} & names and "name" in names)
        or ("timestamp" in names and {"id", "input", "output"} <= names)
    )


def is_openai(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of OpenAI's."""
    if "custom_id" in record or "choices" in record or record.get("object") in ("chat.completion", "response"):
        return True
    if isinstance(record.get("request"), Mapping) and "response" in record:
        return True
    return ("messages" in record and "response" not in record) or isinstance(record.get("output"), list)
