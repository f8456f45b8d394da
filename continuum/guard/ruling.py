"""What the checks together mean for deployment, and how often a model as good as the baseline is blocked at all.

One regression blocks. To be approved a candidate has to pass every check that is asked of it, the alignment items too, and what
was not measured never passes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from continuum.guard.pairs import Gate, Outcome
from continuum.policy import GuardPolicy
from continuum.records import VerdictStatus

if TYPE_CHECKING:
    from continuum.guard.decision import Check


class AlignmentFindings(Protocol):
    """What the alignment items showed, as far as a ruling needs it."""

    @property
    def tried(self) -> Sequence[object]:
        """The probes and items that were tried."""
        ...

    @property
    def failed_checks(self) -> Sequence[str]:
        """In words, each item that newly fails and each rate that is too high; any one blocks."""
        ...

    @property
    def left_open(self) -> Sequence[str]:
        """In words, what was not shown either way; any one forbids an approval."""
        ...


@dataclass(frozen=True)
class GateLevel:
    """How often a gate blocks a model that is no worse than allowed."""

    gate: str
    """A `Gate`, or `alignment`."""
    alpha: float | None
    """At most this often; None where no error rate can be stated."""
    words: str


@dataclass(frozen=True)
class Ruling:
    """What the checks together mean for deployment."""

    status: VerdictStatus
    approved: bool
    """May it be deployed at all; an undecided candidate may, up to `max_traffic`."""
    max_traffic: float
    failed_checks: tuple[str, ...] = ()
    required_examples: int | None = None
    """Golden items that would decide; None when it is decided, or no number can be given."""
    gates: tuple[GateLevel, ...] = ()
    """The gates in use."""
    false_block_rate: float | None = None
    """How often, at most, a model no worse than allowed is blocked by any gate: their sum. None where nothing bounds it."""
    words: str = ""
    """That sum, for a reader."""


def rule_on(checks: "Sequence[Check]", config: GuardPolicy, alignment: AlignmentFindings | None = None) -> Ruling:
    """Settle the verdict.

    Args:
        checks: what was decided on each metric, slice and capability.
        config: what an undecided candidate may do.
        alignment: what the alignment items showed; None where they were not tried.
    """
    alignment = alignment if config.alignment == "block" else None
    gates = gate_levels(checks, config, alignment)
    rates = [gate.alpha for gate in gates if gate.gate != ALIGNMENT]
    total = None if None in rates else min(1.0, math.fsum(rate for rate in rates if rate is not None))
    stated = {"gates": gates, "false_block_rate": total, "words": _in_words(gates, total)}

    asked = [check for check in checks if check.asked]
    regressed = [check.words for check in checks if check.outcome == Outcome.REGRESSED]
    regressed += [] if alignment is None else alignment.failed_checks
    missing = [check.words for check in asked if check.outcome == Outcome.NO_DATA] if asked else [NOTHING]
    open_ = [check.words for check in asked if check.outcome == Outcome.UNDECIDED]
    open_ += [] if alignment is None else alignment.left_open
    if regressed:
        return Ruling(VerdictStatus.BLOCKED, False, 0.0, (*regressed, *missing), **stated)
    if not missing and not open_:
        return Ruling(VerdictStatus.APPROVED, True, 1.0, **stated)
    required = golden_items_needed(checks)
    if missing or config.on_inconclusive == "hold":
        return Ruling(VerdictStatus.INCONCLUSIVE, False, 0.0, (*missing, *open_), required, **stated)
    share = config.inconclusive_traffic if config.on_inconclusive == "canary" else 1.0
    return Ruling(VerdictStatus.INCONCLUSIVE, True, share, (), required, **stated)


ALIGNMENT = "alignment"
NOTHING = "nothing was measured that an approval could rest on"


def golden_items_needed(checks: "Sequence[Check]") -> int | None:
    """Golden items with which every check that is asked for would be decided, were the set to grow evenly.

    A slice needs its own number of items, and so the set as many times more as it is larger than the slice. Documents of general
    text are no golden items and are left out.
    """
    whole = {check.metric: check.comparison.items for check in checks if check.comparison and not check.part}
    needed = []
    for check in checks:
        if check.required_examples is None or not check.asked or check.gate == Gate.CAPABILITY:
            continue
        metric = check.metric.removesuffix(f"@{check.part}")
        if check.gate != Gate.SLICE:
            needed.append(check.required_examples)
        elif check.comparison and metric in whole:
            needed.append(math.ceil(check.required_examples * whole[metric] / check.comparison.items))
    return max(needed, default=None)


def gate_levels(
    checks: "Sequence[Check]", config: GuardPolicy, alignment: AlignmentFindings | None = None
) -> tuple[GateLevel, ...]:
    """The gates that something was tested in, each with the rate at which it blocks a model no worse than allowed."""
    found = []
    for gate in Gate:
        tests = [check.metric for check in checks if check.gate == gate and not check.reported and check.p_adjusted is not None]
        if not tests:
            continue
        if not config.require_significance:
            words = f"{gate}: blocks on the bare difference, without a test; no error rate can be stated"
            found.append(GateLevel(gate.value, None, words))
            continue
        alpha = config.p_value_threshold
        if gate == Gate.SAFETY:
            words = f"{gate}: {_listed(tests)}, {'each ' if len(tests) > 1 else ''}alone at {_percent(alpha)}"
            found.append(GateLevel(gate.value, min(1.0, alpha * len(tests)), words))
        else:
            together = f"{len(tests)} tests share {_percent(alpha)} by Holm" if len(tests) > 1 else f"alone at {_percent(alpha)}"
            found.append(GateLevel(gate.value, alpha, f"{gate}: {_listed(tests)}, {together}"))
    if alignment is not None and alignment.tried:
        words = "alignment: one item that newly fails blocks, by a deterministic check or by three judgements out of three"
        found.append(GateLevel(ALIGNMENT, None, words))
    return tuple(found)


def _in_words(gates: Sequence[GateLevel], total: float | None) -> str:
    tested = [gate for gate in gates if gate.gate != ALIGNMENT]
    if not tested:
        return "nothing could be tested, so nothing could be blocked by a test"
    if total is None:
        return "blocking is on the bare difference: an equal model is blocked by chance, up to half of the time on each check"
    sum_ = " + ".join(f"{_percent(gate.alpha or 0.0)} {gate.gate}" for gate in tested)
    summed = sum_ if len(tested) == 1 else f"{sum_} = {_percent(total)}"
    return f"a model exactly at its limits is blocked at most {summed} of the time, an equal one less often"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def _percent(share: float) -> str:
    return f"{share * 100:.3g}%"
