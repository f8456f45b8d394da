"""What a model must go on doing whatever it learns: a text, probes that try it, and a check that needs no judge.

Training mixes the probes' compliant answers into every batch; the held-out probes, which no training ever saw, measure what came
of it. Training, filter and guard read the same definition, so what is promised is what is measured.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from continuum.config import load_settings
from continuum.constitution.checks import does_not_claim_to_be_human, refuses
from continuum.constitution.drafted import Drafted, folder_of, read_drafted
from continuum.constitution.patterns import PatternCheck
from continuum.constitution.probes import HARM_HELD_OUT, HARM_TRAINING, HUMAN_HELD_OUT, HUMAN_TRAINING, NO_HARM, NOT_HUMAN, Probe
from continuum.constitution.requests import asks_for_harm, asks_who_speaks
from continuum.dataset_rows import PreferencePair
from continuum.errors import ConfigurationError, StoreError
from continuum.excerpts import excerpt
from continuum.records import Example, Message

Check = Callable[[str, str], bool]
"""Given what was asked and what was answered: was the constraint kept?"""


@dataclass(frozen=True)
class Constraint:
    """One constraint of a constitution.

    Args:
        text: what the user calls it.
        probes: questions with compliant answers, for training.
        held_out: questions that training never sees, for measuring.
        check: whether an answer to a question that tries the constraint keeps it; None where only a judge can tell, who looked at
            the probes when they were drafted.
        tries: whether a question tries the constraint; None for its own probes alone.
        always: what every answer has to keep, whatever was asked; None for nothing.
        compliant: an answer that keeps it whatever tries it; empty where there is no such answer.
    """

    text: str
    probes: tuple[Probe, ...]
    held_out: tuple[Probe, ...]
    check: Check | None
    tries: Callable[[str], bool] | None = None
    always: Check | None = None
    compliant: str = ""

    def __post_init__(self) -> None:
        if not self.probes or not self.held_out:
            raise ConfigurationError(
                f"the constraint {self.text!r} has zero probes to {'train' if not self.probes else 'check'} it with; "
                "a constraint that nothing tries is a wish"
            )
        for probe in (*self.probes, *self.held_out):
            if not self.is_tried_by(probe.prompt):
                raise ConfigurationError(f"the constraint {self.text!r} is not tried by its own probe {probe.prompt!r}")
            if self.check is not None and not self.check(probe.prompt, probe.answer):
                raise ConfigurationError(f"the constraint {self.text!r} has a probe whose own answer breaks it: {probe}")
            if self.check is not None and probe.violating and self.check(probe.prompt, probe.violating):
                raise ConfigurationError(f"the constraint {self.text!r} has a probe whose violating answer keeps it: {probe}")

    @property
    def checkable(self) -> bool:
        """Whether its check needs no judge: only then are rows filtered and violations counted without one."""
        return self.check is not None

    def is_tried_by(self, prompt: str) -> bool:
        """Whether a question tries the constraint."""
        return same_words(prompt) in self._asked if self.tries is None else self.tries(prompt)

    def allows(self, prompt: str, answer: str) -> bool:
        """Whether an answer to any question keeps the constraint, as far as it has to there.

        A refusal is only owed where harm is asked for; that a person speaks must never be claimed. What only a judge can check is
        allowed here.
        """
        try:
            if self.always is not None and not self.always(prompt, answer):
                return False
            return self.check is None or not self.is_tried_by(prompt) or self.check(prompt, answer)
        except Exception as error:
            raise ConfigurationError(
                f"the check of the constraint {self.text!r} failed with {type(error).__name__}: {error} on the answer "
                f"{excerpt(answer)!r}; mend the check, which has to judge any text"
            ) from error

    def violations(self, answers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """The prompts and answers, of those given to questions that try the constraint, that break it.

        Raises:
            ConfigurationError: only a judge can tell.
        """
        check = self.check
        if check is None:
            raise ConfigurationError(
                f"whether an answer keeps the constraint {self.text!r} only a judge can tell; "
                "draft it with --must or --must-not for a check that needs none"
            )
        return [(prompt, answer) for prompt, answer in answers if not check(prompt, answer)]

    def pairs(self) -> tuple[PreferencePair, ...]:
        """The compliant answer before the violating one, for each training probe that has both."""
        return tuple(
            PreferencePair(
                interaction_id=self._name(probe),
                rejected_id=self._name(probe),
                messages=(Message(role="user", content=probe.prompt),),
                chosen=Message(role="assistant", content=probe.answer),
                rejected=Message(role="assistant", content=probe.violating),
                source="constraint",
                group=self._name(probe),
            )
            for probe in self.probes
            if probe.violating
        )

    def examples(self) -> tuple[Example, ...]:
        """Every training probe as a row with its compliant answer."""
        return tuple(
            Example(
                interaction_id=self._name(probe),
                messages=(Message(role="user", content=probe.prompt),),
                response=Message(role="assistant", content=probe.answer),
                score=5.0,
                score_source="human" if self.check is not None else "judge",
                group=self._name(probe),
                reason=f"keeps the constraint {self.text!r}",
            )
            for probe in self.probes
        )

    @cached_property
    def _asked(self) -> frozenset[str]:
        return frozenset(same_words(probe.prompt) for probe in (*self.probes, *self.held_out))

    def _name(self, probe: Probe) -> str:
        said = "\n".join((same_words(self.text), probe.prompt, probe.answer))
        return f"probe-{sha256(said.encode(errors='backslashreplace')).hexdigest()[:16]}"


def same_words(text: str) -> str:
    """The text without what tells no two constraints or questions apart: case, spaces and the final full stop."""
    return " ".join(text.lower().rstrip(" .").split())


NEVER_HUMAN = Constraint(
    "Never claim to be human",
    HUMAN_TRAINING,
    HUMAN_HELD_OUT,
    does_not_claim_to_be_human,
    tries=asks_who_speaks,
    always=does_not_claim_to_be_human,
    compliant=NOT_HUMAN,
)
REFUSE_HARM = Constraint(
    "Refuse requests to generate harmful content", HARM_TRAINING, HARM_HELD_OUT, refuses, tries=asks_for_harm, compliant=NO_HARM
)
BUILT_IN = (NEVER_HUMAN, REFUSE_HARM)


def constraint_for(text: str, home: Path | None = None) -> Constraint:
    """The constraint of this text, whatever its case and final full stop: a built-in one, else one that was drafted.

    Args:
        text: what the user calls it.
        home: where drafted constraints are; None for the process's own home.

    Raises:
        ConfigurationError: there is none, so there are zero probes to train or check it with.
    """
    for constraint in BUILT_IN:
        if same_words(constraint.text) == same_words(text):
            return constraint
    folder = folder_of(home or load_settings().home)
    drafted = read_drafted(folder, same_words(text))
    if drafted is not None:
        return of_drafted(drafted)
    known = "; ".join(repr(constraint.text) for constraint in BUILT_IN)
    raise ConfigurationError(
        f"the constraint {text!r} has zero probes, so it could be neither trained nor checked; those with probes are: {known}. "
        f"Have some drafted with: continuum constitution draft {text!r}"
    )


def those_known(texts: Iterable[str], home: Path | None = None) -> tuple[list[Constraint], list[str]]:
    """The constraints of these texts, and the texts that have no probes here any more."""
    found: list[Constraint] = []
    gone: list[str] = []
    for text in texts:
        try:
            found.append(constraint_for(text, home))
        except (ConfigurationError, StoreError):
            gone.append(text)
    return found, gone


def of_drafted(drafted: Drafted) -> Constraint:
    """The constraint that was drafted.

    Raises:
        ConfigurationError: its file was changed so that its probes no longer pass its check.
    """
    check = never = None
    if drafted.check == "pattern":
        check = PatternCheck(drafted.must, drafted.must_not)
        never = PatternCheck(None, drafted.must_not) if drafted.must_not else None
    probes, held_out = (
        tuple(Probe(probe.prompt, probe.answer, probe.violating) for probe in side) for side in (drafted.probes, drafted.held_out)
    )
    return Constraint(drafted.text, probes, held_out, check, always=never)


def probe_examples(constraints: Iterable[Constraint]) -> tuple[Example, ...]:
    """The training probes of all constraints as rows, each once."""
    unique = {example.interaction_id: example for constraint in constraints for example in constraint.examples()}
    return tuple(unique.values())


def trials(constraints: Iterable[Constraint]) -> tuple[tuple[str, str], ...]:
    """The text of the constraint and the question, for every held-out probe."""
    return tuple((constraint.text, probe.prompt) for constraint in constraints for probe in constraint.held_out)
