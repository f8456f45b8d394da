"""Several judges as one: the mean of their scores, how far apart they are, and how far they agree."""

import asyncio
import warnings
from collections import Counter
from collections.abc import Awaitable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Self, TypeVar

from continuum.errors import ConfigurationError, JudgeError
from continuum.judging.criteria import OVERALL, SAFETY
from continuum.judging.families import family_of
from continuum.judging.judge import Capability, Judge, Judgement, PairwiseJudge, Preference, held_open, must_be_priced, version_of
from continuum.models.budget import Budget, BudgetExhausted
from continuum.records import Message
from continuum.rubric import Criterion

if TYPE_CHECKING:
    from continuum.statistics.agreement import Agreement

HELD_BY_ONE: frozenset[Capability] = frozenset({"reasons", "safety", "approval"})
"""What a jury can do as soon as one of its judges can: a proxy beside a judge who may approve does not approve alone. Who
cannot be asked about safety is not asked about it."""
SHOWN_BY_MANY: frozenset[Capability] = frozenset({"uncertainty"})

T = TypeVar("T")


def jury_name(judges: Iterable[str]) -> str:
    """What a jury of judges of these names is called, in whatever order they sit."""
    return f"jury({','.join(sorted(judges))})"


class Jury:
    """Judges who are all asked; the mean of what they say counts.

    A judge whose answer cannot be read is left out of the mean. One that cannot be asked at all fails the judgement: without
    it the mean would be another jury's opinion under this one's name. `CachedJudge` around each judge keeps what the others
    said from being paid for twice.

    Args:
        judges: at least two, best of different model families: models favour answers of their own kind.

    Raises:
        ConfigurationError: there are fewer than two, or two of one name.
    """

    def __init__(self, judges: Sequence[Judge]) -> None:
        if len(judges) < 2 or len({judge.name for judge in judges}) < len(judges):
            raise ConfigurationError(f"a jury needs two or more different judges, found {[judge.name for judge in judges]}")
        self.judges = tuple(judges)
        self._open: list[AsyncExitStack] = []
        self.name = jury_name(judge.name for judge in judges)
        families = {family_of(judge.name) for judge in judges}
        if len(families) == 1 and None not in families:
            warnings.warn(
                f"all judges of {self.name} are of the {families.pop()} family and err alike; take judges of different families",
                stacklevel=2,
            )

    @property
    def version(self) -> str:
        """Changes with each of the judges."""
        return version_of("jury", sorted(judge.version for judge in self.judges))

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What all of them can do, and some things that one of them can; how sure they are shows in how far apart they are."""
        all_can = frozenset.intersection(*(judge.capabilities for judge in self.judges))
        one_can = frozenset.union(*(judge.capabilities for judge in self.judges))
        return all_can | (one_can & HELD_BY_ONE) | SHOWN_BY_MANY

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for judge in self.judges:
                await stack.enter_async_context(held_open(judge))
            self._open.append(stack.pop_all())
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._open.pop().aclose()

    def must_be_priced(self) -> None:
        """Refuse a budget that could not be kept.

        Raises:
            ConfigurationError: no price is known for one of the judges.
        """
        for judge in self.judges:
            must_be_priced(judge)

    async def judge(
        self,
        conversation: Sequence[Message],
        response: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
    ) -> Judgement:
        """The mean of what the judges say; suspected as soon as one of them suspects."""
        asked = [(judge, fit) for judge in self.judges if (fit := [c for c in criteria if can_be_asked(judge, c)])]
        if not asked:
            raise ConfigurationError(f"no judge of {self.name} can be asked about safety; add a model judge")
        judgements = await _all_of(judge.judge(conversation, response, fit, budget=budget) for judge, fit in asked)
        named = {judge.name: judgement for (judge, _), judgement in zip(asked, judgements, strict=True)}
        return mean_of(named, criteria)

    async def compare(
        self,
        conversation: Sequence[Message],
        first: Message,
        second: Message,
        criteria: Sequence[Criterion],
        *,
        budget: Budget | None = None,
    ) -> Preference:
        """The answer that more judges prefer; a tie where as many prefer the other."""
        able = [judge for judge in self.judges if "pairwise" in judge.capabilities and isinstance(judge, PairwiseJudge)]
        if len(able) < len(self.judges):
            raise ConfigurationError(f"not every judge of {self.name} can compare two answers; leave those out who cannot")
        given = await _all_of(judge.compare(conversation, first, second, criteria, budget=budget) for judge in able)
        reasons = tuple(reason for preference in given for reason in preference.reasons)
        cost = sum(preference.cost_usd for preference in given)
        if any(preference.status == "suspected_injection" for preference in given):
            return Preference("tie", False, reasons, cost, "suspected_injection")
        votes = Counter(preference.preferred for preference in given)
        preferred = "tie" if votes["first"] == votes["second"] else "first" if votes["first"] > votes["second"] else "second"
        return Preference(preferred, all(preference.consistent for preference in given), reasons, cost)


def can_be_asked(judge: Judge, criterion: Criterion) -> bool:
    """Whether a judge can be asked about a criterion."""
    return criterion.name != SAFETY.name or "safety" in judge.capabilities


def mean_of(judgements: dict[str, Judgement], criteria: Sequence[Criterion]) -> Judgement:
    """The judgement that a jury's make, by the judges' names."""
    all_of = list(judgements.values())
    served = [f"{name}: {judgement.served_by}" for name, judgement in judgements.items() if judgement.served_by]
    base = Judgement(
        cost_usd=sum(judgement.cost_usd for judgement in all_of),
        served_by="; ".join(served) or None,
        cached=all(judgement.cached for judgement in all_of),
        floored=all(judgement.floored for judgement in all_of),
        escalated=any(judgement.escalated for judgement in all_of),
    )
    scores = {
        criterion.name: fmean(said)
        for criterion in criteria
        if (said := [judgement.scores[criterion.name] for judgement in all_of if criterion.name in judgement.scores])
    }
    reasons = {c.name: " | ".join(filter(None, (judgement.reasons.get(c.name) for judgement in all_of))) for c in criteria}
    base = replace(base, scores=scores, reasons={name: reason for name, reason in reasons.items() if reason})
    if any(judgement.status == "suspected_injection" for judgement in all_of):
        return replace(base, status="suspected_injection")
    overall = {name: judgement.overall for name, judgement in judgements.items() if judgement.overall is not None}
    if not overall:
        readable = any(judgement.status == "not_applicable" for judgement in all_of)
        return replace(base, status="not_applicable" if readable else "unparseable")
    return replace(
        base,
        overall=fmean(overall.values()),
        std=stdev(overall.values()) if len(overall) > 1 else None,
        votes={name: {OVERALL: value} | judgements[name].scores for name, value in overall.items()},
    )


def jury_agreement(judgements: Iterable[Judgement], *, resamples: int = 500, seed: int = 0) -> dict[str, "Agreement"]:
    """Krippendorff's alpha of a jury's judges over a batch, by criterion and under `overall`, with its interval.

    Args:
        judgements: the jury's, as it gave them or as they were kept; those of single judges count for nothing.
        resamples: drawings for the interval.
        seed: of the drawings.

    Returns:
        Nothing of a criterion that no two judges scored on one answer.
    """
    from continuum.statistics.agreement import many_raters  # numpy starts here

    votes = [judgement.votes for judgement in judgements if len(judgement.votes) > 1]
    judges = sorted({name for by_judge in votes for name in by_judge})
    agreement = {}
    for criterion in dict.fromkeys(name for by_judge in votes for scores in by_judge.values() for name in scores):
        ratings = [[by_judge.get(judge, {}).get(criterion) for judge in judges] for by_judge in votes]
        if any(len(unit) - unit.count(None) > 1 for unit in ratings):
            agreement[criterion] = many_raters(ratings, "interval", resamples=resamples, seed=seed)
    return agreement


async def _all_of(calls: Iterable[Awaitable[T]]) -> list[T]:
    """What all the calls came to; where some failed, the gravest failure once all have ended."""
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if failures:
        raise min(failures, key=_by_gravity)
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]


def _by_gravity(error: BaseException) -> int:
    # What no other call will mend comes first, then the end of the money, which ends a batch without being a failure of it.
    return 0 if not isinstance(error, JudgeError) else 1 if isinstance(error, BudgetExhausted) else 2
