"""Who is right where raters disagree: ways to read one task's verdicts, against an oracle that knows how good each rater is.

Raters are made up, so that the truth is known: honest ones of differing accuracy, and liars who are mostly wrong and rate three
times as often. The items that a reviewer judged are left out of every accuracy.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from continuum.records import Feedback
from continuum.splits.ratings import POPULATION, human_rating
from continuum.statistics.raters import RaterFit, Rating, fit_raters
from continuum.store.raters import RaterRow

Truth = NDArray[np.bool_]

WAYS = ("majority", "newest", "em", "em_gold", "weighed", "oracle")
HEADINGS = {
    "majority": "majority",
    "newest": "newest wins",
    "em": "EM",
    "em_gold": "EM, gold labels",
    "weighed": "human_rating",
    "oracle": "oracle",
}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """Who rates how much and how well."""

    name: str
    items: int = 600
    raters: int = 60
    liars: float = 0.2
    """Share of the raters."""
    verdicts: int = 40
    """Of an honest rater; a liar gives three times as many."""
    gold: int = 25
    good: float = 0.6
    """Share of good items."""
    honest_accuracy: tuple[float, float] = (0.7, 0.92)
    liar_accuracy: tuple[float, float] = (0.1, 0.3)


CLAIMED = World("20% liars at 3x, 25 gold labels")
WORLDS = (
    CLAIMED,
    replace(CLAIMED, name="half as many verdicts", verdicts=20),
    replace(CLAIMED, name="40% liars", liars=0.4),
    replace(CLAIMED, name="60% liars", liars=0.6),
    replace(CLAIMED, name="85% good items", good=0.85),
    replace(CLAIMED, name="honest raters 60-80% right", honest_accuracy=(0.6, 0.8)),
    replace(CLAIMED, name="liars who guess", liar_accuracy=(0.45, 0.55)),
    replace(CLAIMED, name="no liars", liars=0.0),
)


@dataclass(frozen=True)
class Verdicts:
    """What was said in one world, in the order it was said."""

    truth: Truth
    accuracy: NDArray[np.float64]
    rater: NDArray[np.int64]
    item: NDArray[np.int64]
    good: Truth
    gold: NDArray[np.int64]

    @classmethod
    def drawn(cls, world: World, seed: int) -> "Verdicts":
        """Made up, the same for the same seed."""
        rng = np.random.default_rng(seed)
        truth = rng.random(world.items) < world.good
        is_liar = np.arange(world.raters) < round(world.liars * world.raters)
        ranges = np.where(is_liar[:, None], world.liar_accuracy, world.honest_accuracy)
        accuracy = rng.uniform(ranges[:, 0], ranges[:, 1])
        said = np.minimum(world.items, np.where(is_liar, 3, 1) * world.verdicts)
        rater = np.repeat(np.arange(world.raters), said)
        item = np.concatenate([rng.choice(world.items, count, replace=False) for count in said])
        right = rng.random(len(item)) < accuracy[rater]
        order = rng.permutation(len(item))
        gold = rng.choice(world.items, world.gold, replace=False)
        return cls(truth, accuracy, rater[order], item[order], (truth[item] == right)[order], gold)

    def ratings(self) -> list[Rating]:
        """As the model takes them."""
        return [
            Rating(str(item), str(rater), float(good)) for item, rater, good in zip(self.item, self.rater, self.good, strict=True)
        ]

    def accuracy_of(self, answers: Mapping[int, float | None]) -> float:
        """Share of right answers among the items that somebody judged and no reviewer did; no answer is half right."""
        asked = np.setdiff1d(self.item, self.gold)
        return float(
            np.mean(
                [
                    0.5 if (answer := answers.get(item)) is None or answer == 0.5 else (answer > 0.5) == self.truth[item]
                    for item in asked.tolist()
                ]
            )
        )


def measure(quick: bool) -> dict[str, Any]:
    """Accuracy of each way to read the verdicts, mean over seeds.

    Returns:
        `majority`, `newest`, `em`, `em_gold`, `weighed` (scores of `human_rating` with the fitted raters) and `oracle` in the
        world of the claim; `behind_oracle` (points of `em_gold` behind it, mean) and `worst_behind_oracle` (over the seeds);
        `rater_error` (mean absolute error of a rater's accuracy); `seeds`; `worlds`, the same for each other world;
        `flood`, what one user's flood does.
    """
    seeds = range(3 if quick else 20)
    worlds = {world.name: over_seeds(world, seeds) for world in (WORLDS[:2] if quick else WORLDS)}
    return {**worlds[CLAIMED.name], "worlds": worlds, "flood": flood(0, verdicts=1000 if quick else 10_000)}


def over_seeds(world: World, seeds: Sequence[int]) -> dict[str, Any]:
    """The means over the seeds."""
    runs = [one_run(Verdicts.drawn(world, seed)) for seed in seeds]
    means = {name: round(float(np.mean([run[name] for run in runs])), 4) for name in runs[0]}
    behind = [100 * (run["oracle"] - run["em_gold"]) for run in runs]
    return {
        **means,
        "behind_oracle": round(float(np.mean(behind)), 2),
        "worst_behind_oracle": round(max(behind), 2),
        "seeds": len(runs),
    }


def one_run(said: Verdicts) -> dict[str, float]:
    """Every way on the same verdicts."""
    ratings = said.ratings()
    known = {str(item): float(said.truth[item]) for item in said.gold}
    without, with_gold = fit_raters(ratings), fit_raters(ratings, known)
    votes = {"majority": np.ones(len(said.item)), "oracle": np.log(said.accuracy / (1 - said.accuracy))[said.rater]}
    share_good = said.truth.mean()
    answers: dict[str, Mapping[int, float | None]] = {
        "majority": voted(said, votes["majority"], 0.0),
        "newest": {int(item): float(good) for item, good in zip(said.item, said.good, strict=True)},
        "em": by_item(without),
        "em_gold": by_item(with_gold),
        "weighed": weighed(said, with_gold),
        "oracle": voted(said, votes["oracle"], np.log(share_good / (1 - share_good))),
    }
    found = dict(zip(with_gold.raters, (with_gold.sensitivity + with_gold.specificity) / 2, strict=True))
    error = np.mean([abs(found[str(rater)] - accuracy) for rater, accuracy in enumerate(said.accuracy)])
    return {way: said.accuracy_of(answers[way]) for way in WAYS} | {"rater_error": float(error)}


def voted(said: Verdicts, weight: NDArray[np.float64], prior: float) -> dict[int, float | None]:
    """Which side has more weight: 1 is good, 0 bad, 0.5 neither."""
    sums = np.bincount(said.item, np.where(said.good, weight, -weight), minlength=len(said.truth)) + prior
    return dict(enumerate((np.sign(np.round(sums, 9)) / 2 + 0.5).tolist()))


def by_item(fit: RaterFit) -> dict[int, float | None]:
    """The probability that each item is good."""
    return {int(item): float(probability) for item, probability in zip(fit.items, fit.probability, strict=True)}


def weighed(said: Verdicts, fit: RaterFit) -> dict[int, float | None]:
    """What curation reads: the score of each item's feedback, each rater weighed by what was learned."""
    columns = zip(
        (*fit.raters, POPULATION),
        (*fit.sensitivity, fit.population_sensitivity),
        (*fit.specificity, fit.population_specificity),
        strict=True,
    )
    raters = {
        name: RaterRow("task", name, max(0.0, float(good + bad - 1)), float(good), float(bad), 0, 0, NOON)
        for name, good, bad in columns
    }
    feedback: dict[int, list[Feedback]] = {}
    for item, rater, good in zip(said.item.tolist(), said.rater.tolist(), said.good.tolist(), strict=True):
        one = Feedback(interaction_id=str(item), score=5 if good else 1, user_id=str(rater), recorded_at=NOON)
        feedback.setdefault(item, []).append(one)
    scores = {item: human_rating(given, raters).score for item, given in feedback.items()}
    return {item: None if score is None else (score - 1) / 4 for item, score in scores.items()}


def flood(seed: int, verdicts: int) -> dict[str, float]:
    """One user who calls everything bad, among honest raters: the accuracy of each way without and with the flood."""
    world = replace(CLAIMED, liars=0.0, raters=48, items=max(600, verdicts))
    calm = Verdicts.drawn(replace(world, items=600), seed)
    truth = np.concatenate([calm.truth, np.random.default_rng(seed + 1).random(world.items - 600) < world.good])
    flooded = replace(
        calm,
        truth=truth,
        accuracy=np.append(calm.accuracy, 1 - truth[:verdicts].mean()),
        rater=np.concatenate([calm.rater, np.full(verdicts, len(calm.accuracy))]),
        item=np.concatenate([calm.item, np.arange(verdicts)]),
        good=np.concatenate([calm.good, np.zeros(verdicts, dtype=bool)]),
    )
    known = {str(item): float(calm.truth[item]) for item in calm.gold}
    before, after = fit_raters(calm.ratings(), known), fit_raters(flooded.ratings(), known)
    last = {int(item): float(good) for item, good in zip(flooded.item, flooded.good, strict=True)}
    return {
        "verdicts": verdicts,
        "before": round(calm.accuracy_of(by_item(before)), 4),
        "after": round(calm.accuracy_of(by_item(after)), 4),
        "newest_after": round(calm.accuracy_of(last), 4),
    }


def table(found: Mapping[str, Any]) -> Table:
    """A row for each world."""
    made = Table(title="Share of items read rightly")
    made.add_column("world")
    for heading in (*HEADINGS.values(), "points behind", "worst seed", "error of a rater"):
        made.add_column(heading, justify="right")
    for name, world in found["worlds"].items():
        shares = (f"{world[way]:.3f}" for way in WAYS)
        made.add_row(
            name,
            *shares,
            *(f"{world[key]:.1f}" for key in ("behind_oracle", "worst_behind_oracle")),
            f"{world['rater_error']:.3f}",
        )
    return made


def main() -> None:
    """Print the table; `--quick` takes fewer seeds and worlds."""
    console = Console(width=160)
    found = measure(quick="--quick" in sys.argv)
    console.print(table(found))
    one = found["flood"]
    console.print(
        f"{found['seeds']} seeds. One user calls {one['verdicts']} answers bad: {one['before']:.3f} before, "
        f"{one['after']:.3f} after by EM, {one['newest_after']:.3f} where the newest verdict wins."
    )


if __name__ == "__main__":
    main()
