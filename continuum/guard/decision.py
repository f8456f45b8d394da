"""From paired scores to a word on each check: regressed, passed, undecided or without data.

A check regressed when its delta is significantly below `min_delta`. Tests that share a gate share its error rate (Holm); the
checks of the safety gate stand each alone. A check passed when its delta is shown to be above `min_delta - resolution`; that
needs no correction for several checks, since a candidate is approved only if every one of them passes. All else is undecided,
and says how many examples would decide.

Approving costs more the more candidates were measured on the same questions (`statistics.spending`); blocking never does.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from continuum.guard.pairs import CAPABILITY_MIN_DELTA, DEFAULT_MIN_DELTA, KNOWN, OTHER, Gate, Outcome, Pairs
from continuum.statistics.corrected import compare_corrected, too_few_labels
from continuum.statistics.multiple import holm
from continuum.statistics.paired import TANGO, Comparison, compare
from continuum.statistics.power import (
    detectable_effect,
    detectable_effect_tango,
    miss_rate,
    required_n,
    required_n_to_approve,
    required_n_to_approve_tango,
)

MIN_GROUPS = 10
"""Below this many independent groups no test is trusted."""
FEW_GROUPS = 30
"""Below this many groups an earlier ability can block and is not asked for an approval."""
MAX_DROPPED = 0.05
"""Above this share of items without a score, what is left may not stand for the whole."""


@dataclass(frozen=True)
class Rule:
    """How much a metric may fall, and how sure one has to be."""

    min_delta: Mapping[str, float]
    """Metric to the lowest delta allowed; where none is given -0.02, and -0.0125 in the capability gate."""
    resolution: float
    alpha: float
    """Of each gate, for blocking."""
    require_significance: bool
    """False blocks on the bare difference."""
    approval_alpha: float | None = None
    """Of each check, for approving; None for `alpha`. The ledger of the golden set makes it smaller."""
    slice_resolution: float = 0.10
    """As `resolution`, for a slice."""

    @property
    def level_to_approve(self) -> float:
        """The level at which each check has to be shown to be good enough."""
        return self.alpha if self.approval_alpha is None else self.approval_alpha

    def allowed(self, pair: Pairs) -> float:
        """The lowest delta that is allowed of a check."""
        default = CAPABILITY_MIN_DELTA if pair.gate == Gate.CAPABILITY else DEFAULT_MIN_DELTA
        return self.min_delta.get(pair.metric, self.min_delta.get(plain(pair), default))

    def resolution_of(self, pair: Pairs) -> float:
        """How far below that still counts as equal when a candidate is to be approved."""
        return self.slice_resolution if pair.gate == Gate.SLICE else self.resolution


@dataclass(frozen=True)
class Check:
    """One test's outcome."""

    metric: str
    """The name of the check: `helpfulness`, `helpfulness:known`, `helpfulness@billing`."""
    outcome: Outcome
    words: str
    min_delta: float
    dropped: int
    comparison: Comparison | None = None
    p_adjusted: float | None = None
    """p of regression, corrected for the other tests of its gate; below `alpha` it blocks. None where nothing was tested."""
    required_examples: int | None = None
    """Of its own part: the golden items, the slice's items or the documents that would decide, at this share of labels."""
    false_approval_rate: float | None = None
    """The chance that a rule which only blocks would let a candidate pass that is `resolution` worse than allowed."""
    gate: Gate = Gate.ORDINARY
    part: str = ""
    resolution: float = 0.03
    mde: float | None = None
    """The smallest fall below `min_delta` that would have been found 4 times in 5, at `level` and the spread seen here."""
    alpha: float = 0.05
    """The gate's level for blocking."""
    level: float = 0.05
    """`alpha` shared among the tests of the gate: a p below it blocks whatever the others show."""
    approval_alpha: float = 0.05
    """The level at which it has to be shown to be good enough."""
    uncorrected: str | None = None
    """Why people's labels were not used though there are some."""

    @property
    def reported(self) -> bool:
        """Whether it is only reported: what small slices make together neither blocks nor is asked for anything."""
        return self.gate == Gate.SLICE and self.part == OTHER

    @property
    def asked(self) -> bool:
        """Whether an approval needs it; what the champion knew, and an ability on few groups, can block and are not asked.

        A line's earlier datasets may have few validation rows, which seldom show that nothing was lost.
        """
        few = self.gate == Gate.CAPABILITY and self.comparison is not None and self.comparison.groups < FEW_GROUPS
        return not self.reported and not few and not self.metric.endswith(KNOWN)


def decide(pairs: Sequence[Pairs], rule: Rule) -> list[Check]:
    """Check everything that was measured, in its order.

    Raises:
        ValueError: two checks have one name.
    """
    names = Counter(pair.metric for pair in pairs)
    if twice := [name for name, times in names.items() if times > 1]:
        raise ValueError(f"{twice} are there more than once; each check needs a name of its own")
    compared = {pair.metric: _compared(pair, rule) for pair in pairs if len(set(pair.groups)) >= 2}
    tested = [pair for pair in pairs if pair.metric in compared and doubts(pair) is None and not is_reported(pair)]
    adjusted: dict[str, float] = {}
    for gate in Gate:
        p_values = {pair.metric: compared[pair.metric].p_regressed for pair in tested if pair.gate == gate}
        adjusted |= p_values if gate == Gate.SAFETY else holm(p_values)
    sizes = Counter(pair.gate for pair in tested if pair.gate != Gate.SAFETY)
    return [
        _check(pair, rule, compared.get(pair.metric), adjusted.get(pair.metric), rule.alpha / max(1, sizes[pair.gate]))
        for pair in pairs
    ]


def doubts(pair: Pairs) -> str | None:
    """Why the scores of a check cannot be tested; None when they can."""
    groups = len(set(pair.groups))
    if groups < MIN_GROUPS:
        return f"{groups} independent groups are too few to test, {MIN_GROUPS} are needed"
    if pair.dropped_share > MAX_DROPPED:
        return f"{pair.dropped} of {pair.eligible} items have no score, more than {MAX_DROPPED:.0%}"
    return None


def is_reported(pair: Pairs) -> bool:
    """Whether the pairs are what small slices make together, which decides nothing."""
    return pair.gate == Gate.SLICE and pair.part == OTHER


def _compared(pair: Pairs, rule: Rule) -> Comparison:
    limits = {
        "min_delta": rule.allowed(pair),
        "resolution": rule.resolution_of(pair),
        "approval_alpha": rule.level_to_approve,
    }
    if pair.people and too_few_labels(pair.people, pair.groups) is None:
        return compare_corrected(pair.baseline, pair.candidate, pair.groups, pair.people, **limits)
    return compare(pair.baseline, pair.candidate, pair.groups, binary=pair.binary, **limits)


def _check(pair: Pairs, rule: Rule, found: Comparison | None, p_adjusted: float | None, level: float) -> Check:
    min_delta, resolution, doubt = rule.allowed(pair), rule.resolution_of(pair), doubts(pair)
    mde = missed = required = None
    if not pair.groups:
        outcome = Outcome.NO_DATA
        what = "documents" if pair.gate == Gate.CAPABILITY else "golden items"
        words = f"{named(pair)} has no data: none of {pair.eligible} {what} that it applies to has a score from both models"
    elif found is None:
        outcome, words = Outcome.UNDECIDED, f"{named(pair)}: {doubt}"
    else:
        effective = level if rule.require_significance else 0.5
        mde = _detectable(found, min_delta, effective)
        missed = miss_rate(found.cautious_sd, found.groups, resolution, alpha=effective)
        regressed = p_adjusted is not None and p_adjusted < rule.alpha
        if not rule.require_significance:
            regressed = found.delta < min_delta
        if regressed and not is_reported(pair):
            outcome, words = Outcome.REGRESSED, fell(pair, found, min_delta)
        elif doubt is None and found.p_not_worse < rule.level_to_approve:
            outcome, words = Outcome.PASSED, moved(pair, found)
        else:
            outcome = Outcome.UNDECIDED
            if pair.dropped_share <= MAX_DROPPED and not is_reported(pair):
                required = _examples_to_decide(found, min_delta, resolution, level, rule.level_to_approve)
            left_open = "too small to be tested, reported only" if is_reported(pair) else doubt
            words = f"{moved(pair, found)}: {left_open or not_shown(pair, min_delta, resolution, required)}"
    return Check(
        pair.metric,
        outcome,
        words,
        min_delta,
        pair.dropped,
        found,
        p_adjusted,
        required,
        missed,
        gate=pair.gate,
        part=pair.part,
        resolution=resolution,
        mde=mde,
        alpha=rule.alpha,
        level=level,
        approval_alpha=rule.level_to_approve,
        uncorrected=too_few_labels(pair.people, pair.groups) if pair.people else None,
    )


def _detectable(found: Comparison, min_delta: float, level: float) -> float:
    if found.test == TANGO:
        return detectable_effect_tango(_gained(found), found.groups, min_delta, alpha=level)
    # Where all differences are one and the same, nothing is known of the spread: the cautious one is taken.
    return detectable_effect(found.sd if found.sd > 0 else found.cautious_sd, found.groups, alpha=level)


def _examples_to_decide(found: Comparison, min_delta: float, resolution: float, level: float, approval_level: float) -> int:
    """Items with which a candidate just good enough would be approved 4 times in 5, at the spread seen here."""
    floor = min_delta - resolution
    groups = _groups_to_approve(found, min_delta, floor, approval_level)
    if groups <= found.groups:
        # The true delta seems to lie between the floor and min_delta; the nearer of the two decisions is worked out.
        if found.delta - floor > min_delta - found.delta:
            groups = _groups_to_approve(found, found.delta, floor, approval_level)
        else:
            groups = required_n(found.sd, min_delta - found.delta, alpha=level)
        groups = max(groups, found.groups + 1)
    return math.ceil(max(groups, MIN_GROUPS) * found.items / found.groups)


def _groups_to_approve(found: Comparison, delta: float, floor: float, level: float) -> int:
    if found.test == TANGO:
        return required_n_to_approve_tango(_gained(found), delta, floor, alpha=level)
    return required_n_to_approve(found.sd, delta, floor, alpha=level)


def _gained(found: Comparison) -> float:
    """The share of yes-or-no pairs that the candidate won: their differences are 1, 0 and -1, so their squares count changes."""
    changed = (found.sd**2 * (found.groups - 1)) / found.groups + found.delta**2
    return max(0.0, (changed + found.delta) / 2)


def plain(pair: Pairs) -> str:
    """The metric whose limits hold for a check, without what it is restricted to."""
    return pair.metric.removesuffix(f"@{pair.part}" if pair.gate == Gate.SLICE else KNOWN)


def named(pair: Pairs) -> str:
    """A check in words."""
    if pair.gate == Gate.CAPABILITY:
        return f"what the model could do before on {pair.part}" if pair.part else pair.metric
    if pair.gate == Gate.SLICE:
        return f"{plain(pair)} on {'the small slices' if pair.part == OTHER else f'the slice {pair.part!r}'}"
    return f"{plain(pair)} on what the champion knew" if pair.metric.endswith(KNOWN) else pair.metric


def counted(pair: Pairs, items: int) -> str:
    """How many items a check rests on, in words."""
    return f"{items} documents" if pair.gate == Gate.CAPABILITY else f"{items} golden items"


def fell(pair: Pairs, found: Comparison, min_delta: float) -> str:
    """In words, how a metric fell past what is allowed."""
    interval = f"(95% {number(found.low)} to {number(found.high)})"
    where = f"on {counted(pair, found.items)}"
    if min_delta > 0:
        return f"{named(pair)} moved by {found.delta:+.2f} {interval}, less than the +{number(min_delta)} asked for, {where}"
    allowed = f"more than the {number(-min_delta)} allowed" if min_delta < 0 else "where no fall is allowed"
    return f"{named(pair)} fell by {number(-found.delta)} {interval}, {allowed}, {where}"


def moved(pair: Pairs, found: Comparison) -> str:
    """In words, how a metric moved."""
    way = "rose" if found.delta >= 0 else "fell"
    interval = f"(95% {number(found.low)} to {number(found.high)})"
    return f"{named(pair)} {way} by {number(abs(found.delta))} {interval} on {counted(pair, found.items)}"


def not_shown(pair: Pairs, min_delta: float, resolution: float, required: int | None) -> str:
    """In words, what the data leave open."""
    open_ = f"not shown to be above {number(min_delta - resolution)} nor below {number(min_delta)}"
    if required is None:
        return open_
    what = {Gate.SLICE: " of this slice", Gate.CAPABILITY: " documents"}.get(pair.gate, "")
    return f"{open_}; about {required}{what} would decide"


def number(value: float) -> str:
    """Two decimals, or three where two would hide the value."""
    return f"{value:.2f}" if abs(value) >= 0.095 or abs(value - round(value, 2)) < 1e-9 else f"{value:.3f}"
