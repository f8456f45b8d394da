"""Langfuse: traces and observations as the public API, the exports of the UI and the blob storage export write them.

A generation is an interaction. A trace whose generations are not with it is one interaction by itself. Names come in camelCase or
in snake_case.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from continuum.signals.formats.chat import answered, asked
from continuum.signals.formats.found import Bad, Found, Item, Opinion, Passed, inside, reason_in
from continuum.signals.formats.lines import Line
from continuum.signals.formats.scores import Scores
from continuum.signals.formats.values import (
    an_object,
    from_iso,
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
from continuum.spool.cleaning import MAX_ID

NO_GENERATION = "observations that are no generations"
TRACE_SCORES = "scores of traces that are not in the same record: left out"
COLUMNS = "columns of scores, of which nobody says who gave them: kept as labels, they are no scores"
CACHED = ("input_cached_tokens", "input_cache_read", "cache_read_input_tokens")
OBSERVATION_FIELDS = frozenset(
    (
        *("id", "traceId", "type", "name", "startTime", "endTime", "completionStartTime", "parentObservationId", "projectId"),
        *("model", "providedModelName", "modelId", "internalModelId", "modelParameters", "input", "output", "metadata", "level"),
        *("statusMessage", "version", "environment", "usage", "usageDetails", "costDetails", "providedUsageDetails", "tags"),
        *("providedCostDetails", "totalCost", "sessionId", "userId", "traceName", "traceTags", "traceTimestamp", "release"),
        *("comments", "scores", "promptId", "promptName", "promptVersion", "toolDefinitions", "toolCalls", "toolCallNames"),
        *("children", "bookmarked", "public", "latency", "timeToFirstToken", "createdAt", "updatedAt", "usagePricingTierName"),
    )
)
"""What an observation holds by itself; the export of the UI puts a column for each score beside it."""


def get(value: Mapping[str, Any], name: str) -> Any:
    """A member by its camelCase name, or by the same in snake_case."""
    found = value.get(name)
    return value.get(snake(name)) if found is None else found


def snake(name: str) -> str:
    """A camelCase name in snake_case."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


class LangfuseReader:
    """Reads Langfuse's exports; a score's range is known where its config came before it."""

    def __init__(self) -> None:
        self._scores = Scores()

    def items(self, record: Line) -> Iterator[Item]:
        """The interactions and the scores that one record holds."""
        yield from self._in(an_object(record.content, "the line"), record.path)

    def _in(self, content: dict[str, Any], path: str) -> Iterator[Item]:
        self._scores.learn(objects(content.get("scoreConfigs")))
        for name in ("traces", "data"):
            if isinstance(content.get(name), list):
                yield from self._listed(content, name, path)
                return
        if isinstance(content.get("trace"), dict):
            yield from self._trace(
                {**content["trace"], **{n: content[n] for n in ("observations", "scores") if n in content}}, path
            )
        elif self._scores.is_config(content):
            self._scores.learn([content])
        elif Scores.is_score(content):
            yield self._guarded_score(content, path)
        elif get(content, "traceId") is not None or get(content, "startTime") is not None:
            yield from self._observations([(content, path)], {}, ())
        else:
            yield from self._trace(content, path)

    def _listed(self, content: dict[str, Any], name: str, path: str) -> Iterator[Item]:
        rows = [(one, inside(path, name, index)) for index, one in enumerate(content[name])]
        together = all(isinstance(one, dict) and get(one, "startTime") is not None for one, _ in rows)
        if rows and together:
            yield from self._observations(rows, {}, objects(content.get("scores")))
            return
        for one, where in rows:
            try:
                yield from self._in(an_object(one, "it"), where)
            except (ValueError, RecursionError) as error:
                yield Bad(reason_in(error), where)

    # --- traces and observations ---

    def _trace(self, trace: dict[str, Any], path: str) -> Iterator[Item]:
        rows = [(one, inside(path, "observations", i)) for i, one in enumerate(objects(trace.get("observations")))]
        scores = objects(trace.get("scores"))
        if any(is_generation(one) for one, _ in rows):
            yield from self._observations(rows, trace, scores)
            return
        try:
            said, notes = self._scores.feedback(scores)
            row = {**shared(trace), **outcome(trace), "id": required_id(trace.get("id"), "id"), "feedback": said}
            row |= {"messages": asked(trace.get("input")), "response": answered(trace.get("output"))}
            row["started_at"] = from_iso(trace.get("timestamp"), "timestamp")
            yield Found(known(row), path, notes)
        except (ValueError, RecursionError) as error:
            yield Bad(reason_in(error), path)

    def _observations(
        self, rows: Sequence[tuple[dict[str, Any], str]], trace: Mapping[str, Any], scores: Sequence[dict[str, Any]]
    ) -> Iterator[Item]:
        generations = {name: one for one, _ in rows if is_generation(one) and (name := id_in(one.get("id")))}
        parents = {one.get("id"): get(one, "parentObservationId") for one, _ in rows if isinstance(one.get("id"), str)}
        last = max(generations, key=lambda name: str(get(generations[name], "endTime") or ""), default=None)
        for one, path in rows:
            if not is_generation(one):
                yield Passed(NO_GENERATION)
                continue
            name = id_in(one.get("id")) or ""
            # What is said of a whole trace is said of what the user saw of it: the answer that came last.
            own = [*objects(one.get("scores")), *(s for s in scores if (get(s, "observationId") or last) == name)]
            try:
                yield self._generation(one, trace, own, nearest(name, parents, generations), path)
            except (ValueError, RecursionError) as error:
                yield Bad(reason_in(error), path)

    def _generation(
        self, one: dict[str, Any], trace: Mapping[str, Any], scores: Sequence[dict[str, Any]], parent: str | None, path: str
    ) -> Found:
        said, notes = self._scores.feedback(scores)
        columns = score_columns(one)
        start = from_iso(get(one, "startTime"), "startTime")
        first_chunk = milliseconds_between(start, from_iso(get(one, "completionStartTime"), "completionStartTime"))
        seconds = number(get(one, "timeToFirstToken"))
        row = {
            **shared(trace),
            **shared(one),
            **outcome(one),
            "id": required_id(one.get("id"), "id"),
            "messages": asked(one.get("input")),
            "response": answered(one.get("output")),
            "started_at": start,
            "latency_ms": milliseconds_between(start, from_iso(get(one, "endTime"), "endTime")),
            "time_to_first_chunk_ms": seconds * 1000 if first_chunk is None and seconds is not None else first_chunk,
            "model": text(one.get("model")) or text(get(one, "providedModelName")),
            "parent_id": parent,
            "provider_response_id": response_id(one.get("output")),
            "feedback": [*said, *columns],
            **usage_of(one),
        }
        return Found(known(row), path, (*notes, COLUMNS) if columns else notes)

    # --- scores that stand alone ---

    def _guarded_score(self, score: dict[str, Any], path: str) -> Item:
        about = id_in(get(score, "observationId"))
        if about is None:
            return Passed(TRACE_SCORES)
        try:
            (said,), notes = self._scores.feedback([score])
        except ValueError as error:
            return Bad(reason_in(error), path)
        return Opinion(about, said, path, notes)


def score_columns(one: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The columns that the table in the UI has for scores: a list under the score's name."""
    columns = [(name, values[0]) for name, values in one.items() if isinstance(values, list) and values]
    return [
        {"label": labelled(name, value), "idempotency_key": f"langfuse:{one.get('id')}:{name}"[:MAX_ID]}
        for name, value in columns
        if camel(name) not in OBSERVATION_FIELDS and isinstance(value, (str, int, float))
    ]


def camel(name: str) -> str:
    """A snake_case name in camelCase."""
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


def is_generation(one: Mapping[str, Any]) -> bool:
    """Whether an observation is a call of a model; the table of generations leaves the type out."""
    kind = one.get("type")
    return kind == "GENERATION" if isinstance(kind, str) else "input" in one and "output" in one


def nearest(name: str, parents: Mapping[Any, Any], generations: Mapping[str, Any]) -> str | None:
    """The nearest generation around an observation, in the same record."""
    seen = {name}
    above = parents.get(name)
    while isinstance(above, str) and above not in seen:
        if above in generations:
            return above
        seen.add(above)
        above = parents.get(above)
    return None


def shared(one: Mapping[str, Any]) -> dict[str, Any]:
    """What traces and observations say alike, as far as it is said."""
    tags = {"environment": text(one.get("environment")), "release": text(one.get("release")), "version": text(one.get("version"))}
    tags |= {"name": text(one.get("name")), "trace_id": id_in(get(one, "traceId"))}
    given = one.get("tags")
    if words := [tag for tag in given if isinstance(tag, str)] if isinstance(given, list) else []:
        tags["tags"] = ", ".join(words)
    row = {"conversation_id": id_in(get(one, "sessionId")), "user_id": id_in(get(one, "userId")), "tags": tag_values(tags)}
    return known(row)


def outcome(one: Mapping[str, Any]) -> dict[str, Any]:
    """Whether it went well."""
    if one.get("level") != "ERROR":
        return {}
    return {"status": "error", "error": text(get(one, "statusMessage")) or "the observation says no more than that it failed"}


def response_id(output: Any) -> str | None:
    """The provider's id, where the output is the whole completion."""
    found = json_in(output)
    return id_in(found.get("id")) if isinstance(found, dict) and "choices" in found else None


def usage_of(one: Mapping[str, Any]) -> dict[str, Any]:
    """Tokens and cost; details are counted apart from the tokens they are of, so they are added up."""
    details, usage = get(one, "usageDetails"), one.get("usage")
    costs = get(one, "costDetails")
    row: dict[str, Any] = {}
    if isinstance(details, Mapping) and details:
        row |= {
            "input_tokens": total(details, "input", "cache_"),
            "output_tokens": total(details, "output"),
            "cached_tokens": tokens(*(details.get(name) for name in CACHED)),
            "reasoning_tokens": tokens(details.get("output_reasoning_tokens"), details.get("output_reasoning")),
        }
    elif isinstance(usage, Mapping) and usage.get("unit") in (None, "TOKENS"):
        row["input_tokens"] = tokens(usage.get("input"), usage.get("promptTokens"))
        row["output_tokens"] = tokens(usage.get("output"), usage.get("completionTokens"))
    cost = number(get(one, "calculatedTotalCost")) or number(get(one, "totalCost"))
    if cost is None and isinstance(costs, Mapping):
        cost = number(costs.get("total"))
    # Without a price of its own, Langfuse says 0 for a model it does not know: then ours is asked.
    return row | ({"cost_usd": cost} if cost else {})


def total(details: Mapping[str, Any], *prefixes: str) -> int | None:
    """The tokens whose names begin like this."""
    found = [tokens(count) for name, count in details.items() if name.startswith(prefixes)]
    return sum(count for count in found if count is not None) if found else None
