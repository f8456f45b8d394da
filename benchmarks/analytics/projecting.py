"""Back-test of the projection: curves are drawn, some versions of each are shown, and the rest is what was to be foretold.

A task has 4 to 8 versions; their means are measured on one golden set of 150 to 500 items, so that part of each error is common
to all of them. What is foretold is the truth at four times the examples. The claims are about power laws, for which the
projection is made; other shapes stand in the table, since nobody knows the shape of a curve beforehand.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.claims import Entry, Result, Setting, table
from continuum.analytics.projection import Projection, project

CURVES, CURVES_QUICK = 600, 60
TIMES = 4
COVERAGE, ERROR = 0.87, 0.5


@dataclass(frozen=True)
class Shape:
    """A family of curves: from how high it ends, what is missing at the first version, and examples to the truth at each."""

    name: str
    truth: Callable[[np.random.Generator, np.ndarray, float, float], np.ndarray]


def power(rng: np.random.Generator, x: np.ndarray, ceiling: float, gap: float) -> np.ndarray:
    """The law that is fitted."""
    return ceiling - gap * (x / x[0]) ** -rng.uniform(0.2, 0.9)


def saturating(rng: np.random.Generator, x: np.ndarray, ceiling: float, gap: float) -> np.ndarray:
    """Exponential: slower at first than any power law, then sooner at its end."""
    return ceiling - gap * np.exp(-(x - x[0]) / rng.uniform(1, 10) / x[0])


def climbing(rng: np.random.Generator, x: np.ndarray, ceiling: float, gap: float) -> np.ndarray:
    """As much with each doubling, up to what cannot be passed."""
    return np.minimum(0.98, ceiling - gap + rng.uniform(0.1, 0.3) * gap * np.log(x / x[0]))


def flat(rng: np.random.Generator, x: np.ndarray, ceiling: float, gap: float) -> np.ndarray:
    """More examples teach nothing."""
    return np.full(len(x), ceiling)


SHAPES = (Shape("power law", power), Shape("saturating", saturating), Shape("climbing", climbing), Shape("flat", flat))


def measure(setting: Setting) -> Result:
    """Every shape; the claims on the first."""
    curves = CURVES_QUICK if setting.quick else CURVES
    shown = table(
        f"Foretold at {TIMES} times the examples, {curves} curves a shape",
        *("shape", "in the 90% interval", "mean width", "our error", "the last carried on", "ratio"),
    )
    entries: list[Entry] = []
    for shape in SHAPES:
        setting.say(f"projecting: {shape.name}")
        held, widths, ours, carried = back_test(shape, curves, np.random.default_rng(setting.seed))
        shown.add_row(
            *(shape.name, f"{np.mean(held):.3f}", f"{np.mean(widths):.3f}"),
            *(f"{np.mean(ours):.4f}", f"{np.mean(carried):.4f}", f"{np.mean(ours) / np.mean(carried):.2f}"),
        )
        if shape is SHAPES[0]:
            what = f"at {TIMES} times the examples of {curves} power laws"
            entries = [
                Entry.of_value(f"share of truths in the 90% interval {what}", float(np.mean(held)), ">=", COVERAGE),
                Entry.of_ratio(
                    f"mean error {what}, and of the last carried on", float(np.mean(ours)), float(np.mean(carried)), ERROR
                ),
            ]
    return Result(entries, shown, ["errors are absolute, on a scale from 0 to 1; no claim is made on shapes but the first"])


def back_test(
    shape: Shape, curves: int, rng: np.random.Generator
) -> tuple[Sequence[bool], list[float], list[float], list[float]]:
    """Of each curve: was the truth in the interval, how wide it was, our error, and that of carrying the last mean on."""
    held, widths, ours, carried = [], [], [], []
    while len(held) < curves:
        versions = int(rng.integers(4, 9))
        steps = rng.uniform(1.3, 2) ** np.arange(versions) if rng.random() < 0.5 else np.arange(1, versions + 1)
        examples = np.round(200 * steps)
        truth = shape.truth(rng, np.append(examples, TIMES * examples[-1]), rng.uniform(0.6, 0.97), rng.uniform(0.1, 0.5))
        error, common = rng.uniform(0.25, 0.45) / np.sqrt(rng.integers(150, 500)), rng.uniform(0.3, 0.7)
        noise = rng.normal(0, error * np.sqrt(common)) + rng.normal(0, error * np.sqrt(1 - common), versions)
        means = np.clip(truth[:-1] + noise, 0, 1)
        found = project([int(x) for x in examples], means.tolist(), [error] * versions)
        assert isinstance(found, Projection), found
        held.append(found.low <= truth[-1] <= found.high)
        widths.append(found.high - found.low)
        ours.append(abs(found.mean - truth[-1]))
        carried.append(abs(means[-1] - truth[-1]))
    return held, widths, ours, carried
