"""How often a model breaks a constraint at all, as far as a few probes can tell.

With it goes a one-sided 95% upper bound (Clopper and Pearson 1934): none broken of 30 probes means at most 9.5%, of 60 at most
4.9%, of 300 at most 1.0% of such questions. The bound speaks of questions like the probes; training saw some of them, so the
held-out ones are told alone as well. Where a limit is set both shares have to keep it: a model exactly at the limit is surely
above it by either bound at most 5 times in 100, and so is blocked at most 10.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from continuum.guard.panel import Word
from continuum.guard.probing import Outcome, Tried

LEVEL = 0.95
"""Of each bound, which is one-sided."""


@dataclass(frozen=True)
class Share:
    """How many of some probes the candidate breaks."""

    probes: int
    decided: int
    """Those of which it is known whether the candidate breaks them; the share is of these."""
    broken: int
    """By the candidate, newly or as before."""
    newly: int
    """Of them, those that the baseline keeps."""
    broken_before: int
    """By the baseline."""
    undecided: int
    """Of which nobody can say whether the candidate breaks them, or breaks them newly."""
    lower: float
    """The share of such questions is at least this, with 95% confidence; 0 where nothing was decided."""
    upper: float
    """And at most this, with 95% confidence; 1 where nothing was decided."""

    @property
    def rate(self) -> float | None:
        """Broken of decided, 0 to 1; None where nothing was decided."""
        return self.broken / self.decided if self.decided else None


def share_of(tried: Sequence[Tried]) -> Share:
    """How many of these the candidate breaks, and the bounds that follow."""
    from continuum.statistics.proportions import clopper_pearson_upper  # scipy starts here

    words = Counter(one.candidate.word for one in tried)
    outcomes = Counter(one.outcome for one in tried)
    broken, decided = words[Word.BROKEN], len(tried) - words[Word.UNDECIDED]
    return Share(
        probes=len(tried),
        decided=decided,
        broken=broken,
        newly=outcomes[Outcome.NEWLY_BROKEN],
        broken_before=sum(one.baseline.word == Word.BROKEN for one in tried),
        undecided=outcomes[Outcome.UNDECIDED],
        # The lower bound of a share is what the upper bound of the rest leaves.
        lower=1 - clopper_pearson_upper(decided - broken, decided, LEVEL) if decided else 0.0,
        upper=clopper_pearson_upper(broken, decided, LEVEL) if decided else 1.0,
    )
