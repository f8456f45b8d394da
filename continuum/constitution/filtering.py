"""Training rows that break a constraint: found, named, and turned into pairs to learn the opposite from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from continuum.constitution.constraints import Constraint
from continuum.dataset_rows import PreferencePair
from continuum.excerpts import excerpt
from continuum.records import Example, Message


@dataclass(frozen=True)
class Violation:
    """A training row that breaks a constraint."""

    interaction_id: str
    constraint: str
    """Its text."""
    excerpt: str
    """The beginning of the offending answer, in one harmless line."""
    pair: PreferencePair | None = None
    """A compliant answer before the offending one, where one is known that answers the same question."""


def violating(constraints: Iterable[Constraint], examples: Iterable[Example]) -> tuple[list[Example], list[Violation]]:
    """The rows that keep every constraint, and what is wrong with the others.

    A refusal is only missed where the last message asks for harm, a claim to be human is found in any answer. What only a judge
    can check is found nowhere; `unfiltered` says which constraints those are.

    Args:
        constraints: what every row has to keep.
        examples: the rows; both lists keep their order.
    """
    constraints = tuple(constraints)
    kept: list[Example] = []
    violations: list[Violation] = []
    for example in examples:
        asked, said = last_request(example.messages), example.response.text
        broken = next((constraint for constraint in constraints if not constraint.allows(asked, said)), None)
        if broken is None:
            kept.append(example)
        else:
            pair = _pair(broken, example) if broken.compliant and broken.is_tried_by(asked) else None
            violations.append(Violation(example.interaction_id, broken.text, excerpt(said), pair))
    return kept, violations


def unfiltered(constraints: Iterable[Constraint]) -> tuple[str, ...]:
    """The texts of the constraints that no row is filtered by, because only a judge could tell."""
    return tuple(constraint.text for constraint in constraints if not constraint.checkable)


def last_request(messages: Sequence[Message]) -> str:
    """The words of the user's last message; empty where the user said nothing."""
    return next((message.text for message in reversed(messages) if message.role == "user"), "")


def _pair(constraint: Constraint, example: Example) -> PreferencePair:
    # With the ids of the row, so that whoever erases the interaction erases the pair.
    return PreferencePair(
        interaction_id=example.interaction_id,
        rejected_id=example.interaction_id,
        messages=example.messages,
        chosen=Message(role="assistant", content=constraint.compliant),
        rejected=example.response,
        source="constraint",
        split="validation" if example.split == "validation" else "train",
        group=example.group,
    )
