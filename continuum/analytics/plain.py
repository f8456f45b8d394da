"""A learning curve as plain data: JSON, numbers by name, and a frame."""

from dataclasses import fields, is_dataclass
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    import polars

    from continuum.analytics.arms import Point
    from continuum.analytics.curve import LearningCurve
    from continuum.analytics.gains import Gain
    from continuum.statistics.means import Estimate

ORDER = (
    "model",
    "metric",
    "examples",
    "mean",
    "low",
    "high",
    "items",
    "groups",
    "gain",
    "gain_low",
    "gain_high",
    "gain_paired",
    "against",
    "cost_usd",
)
WHOLE = ("examples", "items", "groups")


def as_json(curve: "LearningCurve") -> dict[str, Any]:
    """All of a curve as JSON has it; a word on each gain stands beside its interval."""
    return {field.name: _plain(getattr(curve, field.name)) for field in fields(curve)}


def figures(curve: "LearningCurve") -> dict[str, float]:
    """The numbers of a curve by name, for a tracker to draw over time; those that are no numbers are left out."""
    found: dict[str, float] = {}
    for point in curve.points:
        for metric, mean in point.means.items():
            found[f"curve {point.model} {metric}"] = mean.mean
        for metric, gain in point.gains.items():
            found[f"curve {point.model} {metric} gain over {curve.reference}"] = gain.mean
    for one in curve.readings:
        if one.value is not None:
            # A tracker may take no comma in a name.
            found[f"curve {one.model} {one.name.replace(', ', ' in ')}"] = one.value.mean
    return {name: value for name, value in found.items() if isfinite(value)}


def as_frame(curve: "LearningCurve") -> "polars.DataFrame":
    """A row for each model and metric; where a model is compared with two, as in what it forgot, a row for each of them.

    The rows of what answers are scored by come first. What has no data has a row without a mean.
    """
    import polars

    rows = [
        _row(point, metric, found, point.gains.get(metric), curve.reference)
        for point in curve.points
        for metric, found in point.means.items()
    ]
    points = {point.model: point for point in curve.points}
    rows += [_row(points[one.model], one.name, one.value, one.gain, one.against) for one in curve.readings]
    kinds = dict.fromkeys(ORDER, polars.Float64) | dict.fromkeys(WHOLE, polars.Int64)
    schema = {**kinds, **dict.fromkeys(("model", "metric", "against"), polars.String), "gain_paired": polars.Boolean}
    return polars.DataFrame(rows, schema=schema)


def _row(point: "Point", metric: str, found: "Estimate | None", gain: "Gain | None", against: str) -> dict[str, Any]:
    return {
        "model": point.model,
        "metric": metric,
        "examples": point.examples,
        "mean": found.mean if found else None,
        "low": found.low if found else None,
        "high": found.high if found else None,
        "items": found.items if found else 0,
        "groups": found.groups if found else 0,
        "gain": gain.mean if gain else None,
        "gain_low": gain.low if gain else None,
        "gain_high": gain.high if gain else None,
        "gain_paired": gain.paired if gain else None,
        "against": against if gain else "",
        "cost_usd": point.cost_usd,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        shown = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        word = getattr(value, "word", None)
        return shown if word is None else shown | {"word": word}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not isfinite(value) else value
