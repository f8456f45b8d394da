"""MLflow 3 traces: `{"info": {...}, "data": {"spans": [...]}}`, as `Trace.to_json` and the search commands write them.

Spans of chat models are interactions. In a trace without one, the root span is: what the application was asked and answered.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from continuum.signals.formats.attributes import hex_id
from continuum.signals.formats.chat import answered, asked
from continuum.signals.formats.found import Bad, Found, Item, Passed, inside, reason_in
from continuum.signals.formats.lines import Line
from continuum.signals.formats.values import (
    an_object,
    as_text,
    first,
    from_iso,
    from_nanoseconds,
    id_in,
    json_in,
    known,
    labelled,
    milliseconds_between,
    number,
    objects,
    required_id,
    tag_values,
    text,
    tokens,
)

MODEL_SPANS = {"CHAT_MODEL", "LLM"}
CORRECTIONS = {"expected_response", "expected_output", "expected_answer", "ground_truth", "correction"}
"""Expectations that are the answer that should have been given."""
NO_MODEL_CALL = "spans that are no calls of a model"
JUDGED = "feedback given by judges or code: kept as labels, it is no human verdict"
NOT_UNDERSTOOD = "feedback that is no yes or no, of which nobody knows the scale: kept as labels"
EXPECTED = "expectations that are no answer: kept as comments"


class MLflowReader:
    """Reads MLflow's traces."""

    def items(self, record: Line) -> Iterator[Item]:
        """The interactions of the traces in one record."""
        content = an_object(record.content, "the line")
        if not isinstance(content.get("traces"), list):
            yield from trace_items(content, record.path)
            return
        for index, trace in enumerate(content["traces"]):
            path = inside(record.path, "traces", index)
            try:
                yield from trace_items(an_object(trace, "the trace"), path)
            except (ValueError, RecursionError) as error:
                yield Bad(reason_in(error), path)


def trace_items(trace: dict[str, Any], path: str) -> Iterator[Item]:
    """The interactions of one trace."""
    info, data = an_object(trace.get("info"), "info"), an_object(trace.get("data"), "data")
    trace_id = required_id(first(info, "trace_id", "request_id"), "info.trace_id")
    rows = [(Span(trace_id, one), inside(path, "data", "spans", i)) for i, one in enumerate(objects(data.get("spans")))]
    calls = [span for span, _ in rows if span.kind in MODEL_SPANS and span.inputs is not None]
    calls = calls or [span for span, _ in rows if span.parent is None and span.inputs is not None]
    if not calls:
        raise ValueError("data.spans: no span was given anything")
    by_id, parents = {span.span_id: span for span in calls}, {span.span_id: span.parent for span, _ in rows}
    last = max(calls, key=lambda span: span.end_ns)
    about = from_info(info, trace_id)
    for span, where in rows:
        if span not in calls:
            yield Passed(NO_MODEL_CALL)
            continue
        own = [one for one in objects(info.get("assessments")) if target(one, by_id, last) is span]
        try:
            said, notes = feedback(own)
            yield Found(known({**about, **span.row(nearest(span, parents, by_id)), "feedback": said}), where, notes)
        except (ValueError, RecursionError) as error:
            yield Bad(reason_in(error), where)


def from_info(info: Mapping[str, Any], trace_id: str) -> dict[str, Any]:
    """What is said of the whole trace; metadata are in `trace_metadata`, in older exports in `request_metadata`."""
    metadata = first(info, "trace_metadata", "request_metadata")
    tags = info.get("tags") if isinstance(info.get("tags"), Mapping) else {}
    own = {name: value for name, value in (tags or {}).items() if not name.startswith("mlflow.")}
    row = {
        "conversation_id": id_in(first(metadata, "mlflow.trace.session")),
        "user_id": id_in(first(metadata, "mlflow.trace.user")),
        "started_at": from_iso(info.get("request_time"), "info.request_time"),
        "tags": tag_values({"name": first(tags, "mlflow.traceName"), "trace_id": trace_id} | own),
    }
    return known(row)


class Span:
    """A span, its attributes decoded: MLflow writes each as JSON text."""

    def __init__(self, trace_id: str, span: Mapping[str, Any]) -> None:
        found = span.get("attributes")
        self.span = span
        self.attributes = {name: json_in(value) for name, value in found.items()} if isinstance(found, Mapping) else {}
        context = span.get("context") if isinstance(span.get("context"), Mapping) else {}
        self.span_id = span_id_in(first(span, "span_id") or first(context, "span_id"))
        self.id = f"{trace_id}-{self.span_id}" if self.span_id else trace_id
        self.parent = span_id_in(first(span, "parent_span_id", "parent_id"))
        self.kind = text(self.attributes.get("mlflow.spanType")) or text(first(span, "span_type"))
        self.inputs = self.attributes.get("mlflow.spanInputs")
        self.outputs = self.attributes.get("mlflow.spanOutputs")
        ended = first(span, "end_time_unix_nano", "end_time")
        self.end_ns = ended if isinstance(ended, int) else 0

    def row(self, parent: str | None) -> dict[str, Any]:
        """The interaction in the plain form."""
        start = from_nanoseconds(first(self.span, "start_time_unix_nano", "start_time"), "start_time_unix_nano")
        end = from_nanoseconds(first(self.span, "end_time_unix_nano", "end_time"), "end_time_unix_nano")
        usage = self.attributes.get("mlflow.chat.tokenUsage")
        whole = self.outputs if isinstance(self.outputs, Mapping) else {}
        cost = number(first(self.attributes.get("mlflow.llm.cost"), "total_cost"))
        details = first(whole.get("usage"), "completion_tokens_details", "output_tokens_details")
        row = {
            "id": self.id,
            "messages": asked(self.inputs),
            "response": answered(self.outputs),
            "started_at": start,
            "latency_ms": milliseconds_between(start, end),
            "model": text(whole.get("model"))
            or text(self.attributes.get("mlflow.llm.model"))
            or text(first(self.inputs, "model")),
            "parent_id": parent,
            "provider_response_id": id_in(whole.get("id")) if "choices" in whole or "output" in whole else None,
            "input_tokens": tokens(first(usage, "input_tokens")),
            "output_tokens": tokens(first(usage, "output_tokens")),
            "cached_tokens": tokens(first(usage, "cache_read_input_tokens")),
            "reasoning_tokens": tokens(first(details, "reasoning_tokens")),
            **self._outcome(),
        }
        return known(row | ({"cost_usd": cost} if cost is not None else {}))

    def _outcome(self) -> dict[str, Any]:
        status = self.span.get("status")
        code = first(status, "code") or self.span.get("status_code")
        if code not in ("STATUS_CODE_ERROR", "ERROR"):
            return {}
        words = text(first(status, "message")) or text(self.span.get("status_message"))
        return {"status": "error", "error": words or "the span says no more than that it failed"}


def span_id_in(value: Any) -> str | None:
    """A span's id in hexadecimal; exports of different versions write it as base64, or as 0x and digits."""
    return hex_id(value.removeprefix("0x")) or id_in(value) if isinstance(value, str) else None


def nearest(span: Span, parents: Mapping[str | None, str | None], calls: Mapping[str | None, Span]) -> str | None:
    """The id of the nearest interaction around a span."""
    above, seen = span.parent, {span.span_id}
    while above and above not in seen:
        if above in calls:
            return calls[above].id
        seen.add(above)
        above = parents.get(above)
    return None


def target(assessment: Mapping[str, Any], by_id: Mapping[str | None, Span], last: Span) -> Span:
    """What an assessment is of: its span, or else what the user saw of the trace, the answer that came last."""
    return by_id.get(span_id_in(assessment.get("span_id")), last)


# --- assessments ---


def feedback(assessments: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """What assessments say, and what of them was not understood.

    Raises:
        ValueError: a time in one is none.
    """
    found: list[dict[str, Any]] = []
    notes: dict[str, None] = {}
    for one in assessments:
        value, note = opinion(one)
        if note:
            notes[note] = None
        if not value or one.get("valid") is False:
            continue
        source, name = one.get("source"), id_in(one.get("assessment_id"))
        human = first(source, "source_type") == "HUMAN"
        said = {
            **value,
            "comment": value.get("comment") or text(one.get("rationale")),
            "user_id": id_in(first(source, "source_id")) if human else None,
            "recorded_at": from_iso(first(one, "create_time", "last_update_time"), "create_time"),
            "idempotency_key": f"mlflow:{name}"[:500] if name else None,
        }
        found.append(known(said))
    return found, tuple(notes)


def opinion(assessment: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
    """The value of one assessment; None where it has none, because the judge failed for instance."""
    name, human = text(assessment.get("assessment_name")), first(assessment.get("source"), "source_type") == "HUMAN"
    expected = assessment.get("expectation")
    if isinstance(expected, Mapping):
        value = value_in(expected)
        if name in CORRECTIONS and text(value):
            return {"correction": value}, None
        return {"comment": f"{name or 'expectation'}: {as_text(value)}"}, EXPECTED
    value = value_in(assessment.get("feedback"))
    if value is None:
        return None, None
    if not human:
        return {"label": labelled(name, value)}, JUDGED
    if isinstance(value, bool):
        return {"score": 5.0 if value else 1.0, "label": name}, None
    return {"label": labelled(name, value)}, NOT_UNDERSTOOD


def value_in(assessed: Any) -> Any:
    """The value of an assessment; lists and objects are written as JSON text."""
    serialized = first(assessed, "serialized_value")
    return first(assessed, "value") if serialized is None else json_in(first(serialized, "value"))
