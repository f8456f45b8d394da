"""What a judge looks at: criteria, and the rubric that they make together."""

import keyword
import math
import warnings
from dataclasses import dataclass

from continuum.errors import ConfigurationError


@dataclass(frozen=True)
class Criterion:
    """One thing a judge looks at.

    Args:
        name: what the score is called wherever it shows.
        weight: its share of the overall score; above zero, normalised over the rubric.
        description: what the judge is asked to look at.
        anchors: what scores mean, for example `{1: "wrong", 5: "right and complete"}`.
    """

    name: str
    weight: float
    description: str
    anchors: dict[int, str] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier() or keyword.iskeyword(self.name):
            raise ConfigurationError(
                f"criterion name {self.name!r} cannot be a field of the judge's answer; use letters, digits and _"
            )
        number = isinstance(self.weight, int | float) and not isinstance(self.weight, bool)
        if not number or not 0 < self.weight < math.inf:
            raise ConfigurationError(
                f"criterion {self.name!r} has weight {self.weight!r}; weights must be above zero, and finite numbers"
            )
        if not isinstance(self.description, str):
            raise ConfigurationError(f"criterion {self.name!r} has the description {self.description!r:.80}; write a sentence")
        if self.anchors and not set(self.anchors) <= {1, 2, 3, 4, 5}:
            raise ConfigurationError(f"criterion {self.name!r} anchors {list(self.anchors)}; anchors are for scores 1 to 5")


DEFAULT_CRITERIA = (
    Criterion("helpfulness", 0.4, "Directly addresses the question"),
    Criterion("accuracy", 0.3, "Factually correct, no hallucinations"),
    Criterion("conciseness", 0.2, "No unnecessary verbosity"),
    Criterion("tone", 0.1, "Professional and empathetic"),
)


def normalised(criteria: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
    """The criteria with weights that sum to 1; a warning says when they did not.

    Raises:
        ConfigurationError: there are no criteria, or two have one name.
    """
    check_rubric(criteria)
    total = sum(criterion.weight for criterion in criteria)
    if abs(total - 1) < 1e-9:
        return criteria
    warnings.warn(f"criteria weights sum to {total:g}, not 1; they are divided by their sum", stacklevel=3)
    return tuple(Criterion(c.name, c.weight / total, c.description, c.anchors) for c in criteria)


def check_rubric(criteria: tuple[Criterion, ...]) -> None:
    """Refuse a rubric by which nothing can be judged.

    Raises:
        ConfigurationError: there are no criteria, or two have one name.
    """
    if not criteria:
        raise ConfigurationError("a rubric needs at least one criterion, found none")
    names = [criterion.name for criterion in criteria]
    if len(set(names)) < len(names):
        raise ConfigurationError(f"criteria need distinct names, found {sorted(names)}")
