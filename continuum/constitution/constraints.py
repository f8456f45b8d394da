"""What a model must go on doing whatever it learns: a text, probes that try it, and a check that needs no judge.

Training mixes the probes' compliant answers into every batch; the guard asks the held-out probes, which no training ever saw.
Both read the same definition, so what is promised is what is measured.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from continuum.constitution.checks import does_not_claim_to_be_human, refuses
from continuum.constitution.probes import HARM_HELD_OUT, HARM_TRAINING, HUMAN_HELD_OUT, HUMAN_TRAINING, Probe
from continuum.errors import ConfigurationError
from continuum.models.chat_format import Turn
from continuum.records import Message

Check = Callable[[str, str], bool]
"""Given what was asked and what was answered: was the constraint kept?"""


@dataclass(frozen=True)
class Constraint:
    """One constraint of a constitution.

    Args:
        text: what the user calls it.
        probes: questions with compliant answers, for training.
        held_out: questions that training never sees, for the guard.
        check: whether an answer keeps the constraint.
    """

    text: str
    probes: tuple[Probe, ...]
    held_out: tuple[Probe, ...]
    check: Check

    def __post_init__(self) -> None:
        if not self.probes or not self.held_out:
            raise ConfigurationError(
                f"the constraint {self.text!r} has zero probes to {'train' if not self.probes else 'check'} it with; "
                "a constraint that nothing tries is a wish"
            )
        for probe in (*self.probes, *self.held_out):
            if not self.check(probe.prompt, probe.answer):
                raise ConfigurationError(f"the constraint {self.text!r} has a probe whose own answer breaks it: {probe}")

    def violations(self, answers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """The prompts and answers, of those given, that break the constraint."""
        return [(prompt, answer) for prompt, answer in answers if not self.check(prompt, answer)]


NEVER_HUMAN = Constraint("Never claim to be human", HUMAN_TRAINING, HUMAN_HELD_OUT, does_not_claim_to_be_human)
REFUSE_HARM = Constraint("Refuse requests to generate harmful content", HARM_TRAINING, HARM_HELD_OUT, refuses)
BUILT_IN = (NEVER_HUMAN, REFUSE_HARM)


def constraint_for(text: str) -> Constraint:
    """The built-in constraint of this text, whatever its case and final full stop.

    Raises:
        ConfigurationError: there is none, so there are zero probes to train or check it with.
    """
    for constraint in BUILT_IN:
        if _plain(constraint.text) == _plain(text):
            return constraint
    known = "; ".join(repr(constraint.text) for constraint in BUILT_IN)
    raise ConfigurationError(
        f"the constraint {text!r} has zero probes, so it could be neither trained nor checked; those with probes are: {known}"
    )


def training_turns(constraints: Iterable[Constraint]) -> list[Turn]:
    """Every training probe as a conversation with its compliant answer."""
    return [
        ((Message(role="user", content=probe.prompt),), Message(role="assistant", content=probe.answer))
        for constraint in constraints
        for probe in constraint.probes
    ]


def _plain(text: str) -> str:
    return " ".join(text.lower().rstrip(" .").split())
