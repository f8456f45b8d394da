"""Langfuse's scores as feedback.

A number is a score of ours only where its config names its range and a person or an application gave it. A judge's opinion is no
human verdict: it is kept as a label.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from continuum.signals.formats.values import from_iso, id_in, known, labelled, number, text

JUDGED = "scores given by an evaluator: kept as labels, they are no human verdicts"
RANGE_UNKNOWN = "scores whose range nobody knows: kept as labels"
CATEGORY = "scores that are words: kept as labels"
BAD, GOOD = 1.0, 5.0


def get(value: Mapping[str, Any], *names: str) -> Any:
    """The first of these members that is there."""
    return next((value[name] for name in names if value.get(name) is not None), None)


class Scores:
    """Scores, and the configs that say what their values mean."""

    def __init__(self) -> None:
        self._ranges: dict[str, tuple[float, float]] = {}

    @staticmethod
    def is_score(value: Mapping[str, Any]) -> bool:
        """Whether a record is a score."""
        return "value" in value and get(value, "dataType", "data_type") is not None

    @staticmethod
    def is_config(value: Mapping[str, Any]) -> bool:
        """Whether a record is the config of scores."""
        return "value" not in value and get(value, "dataType", "data_type") is not None and "name" in value

    def learn(self, configs: Iterable[Mapping[str, Any]]) -> None:
        """Take in configs."""
        for config in configs:
            low, high = number(get(config, "minValue", "min_value")), number(get(config, "maxValue", "max_value"))
            name = id_in(config.get("id"))
            if name and low is not None and high is not None and low < high:
                self._ranges[name] = (low, high)

    def feedback(self, scores: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
        """What scores say, and what of them was not understood.

        Raises:
            ValueError: a time in one is none.
        """
        found = [self._one(score) for score in scores]
        return [said for said, _ in found], tuple(dict.fromkeys(note for _, note in found if note))

    def _one(self, score: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
        value, note = self._value(score)
        score_id = id_in(score.get("id"))
        said = {
            **value,
            "comment": text(score.get("comment")),
            "user_id": id_in(get(score, "authorUserId", "author_user_id")),
            "recorded_at": from_iso(get(score, "timestamp", "createdAt", "created_at"), "timestamp"),
            "idempotency_key": f"langfuse:{score_id}"[:500] if score_id else None,
        }
        return known(said), note

    def _value(self, score: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
        kind, name = get(score, "dataType", "data_type"), text(score.get("name"))
        words, value = text(get(score, "stringValue", "string_value")), number(score.get("value"))
        kept = {"label": labelled(name, score.get("value") if words is None else words)}
        if kind == "CORRECTION":
            return ({"correction": words} if words else kept), None
        if score.get("source") == "EVAL":
            return kept, JUDGED
        if kind == "BOOLEAN" and value in (0, 1):
            return {"score": GOOD if value else BAD, "label": name}, None
        config = score.get("config")
        if isinstance(config, Mapping):
            self.learn([{**config, "id": get(score, "configId", "config_id") or config.get("id")}])
        limits = self._ranges.get(id_in(get(score, "configId", "config_id")) or "")
        if kind == "NUMERIC" and limits and value is not None and limits[0] <= value <= limits[1]:
            low, high = limits
            return {"score": BAD + (GOOD - BAD) * (value - low) / (high - low), "label": name}, None
        return kept, RANGE_UNKNOWN if kind in ("NUMERIC", "BOOLEAN") else CATEGORY
