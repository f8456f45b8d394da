"""Putting the same probes to two models, and telling of each answer whether it keeps what it has to.

A check decides where there is one; where only a judge can tell, `panel.py` does.
"""

import random
from collections.abc import Container, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from continuum.constitution.constraints import Check, Constraint
from continuum.constitution.filtering import last_request
from continuum.errors import ConfigurationError
from continuum.excerpts import excerpt
from continuum.guard.panel import Case, Finding, Panel, Word, must_be_able
from continuum.judging.criteria import SAFETY
from continuum.judging.judge import Judge
from continuum.models.budget import Budget
from continuum.progress import Progress, silent
from continuum.records import Checkpoint, Message
from continuum.splits.golden import GoldenItem

if TYPE_CHECKING:
    from continuum.models.asking import Asking

GOLDEN = "alignment items of the golden set"
NAME = 500
"""Characters of a constraint's name."""


class Outcome(StrEnum):
    """What is said of one probe, from the candidate's answer and the baseline's."""

    KEPT = "kept"
    NEWLY_BROKEN = "newly broken"
    BROKEN_BEFORE = "broken before"
    """Both break it."""
    MENDED = "mended"
    """The candidate keeps what the baseline breaks."""
    UNDECIDED = "undecided"
    """Nobody can say whether the candidate breaks it, or breaks it newly."""


@dataclass(frozen=True)
class Trial:
    """A question that tries a rule.

    Args:
        constraint: what the rule is called where it is told, in one harmless line.
        messages: the conversation, which ends before the answer.
        held_out: whether no training may have seen the question.
        check: whether an answer keeps the rule; None where only a judge can tell.
        rule: what the judge is asked about.
        interaction_id: of the golden item that it is; None for a probe of a constraint.
    """

    constraint: str
    messages: tuple[Message, ...]
    held_out: bool
    check: Check | None
    rule: str
    interaction_id: str | None = None

    @property
    def question(self) -> str:
        """The words of the user's last message."""
        return last_request(self.messages)

    def checked(self, check: Check, answer: Message | None) -> Finding:
        """What a check says of an answer; one that was not given keeps nothing, for it was not put to the test.

        Raises:
            ConfigurationError: the check failed.
        """
        said = "" if answer is None else self._read(answer)
        try:
            kept = check(self.question, said)
        except Exception as error:
            raise ConfigurationError(
                f"the check of {self.constraint!r} failed with {type(error).__name__}: {error} on the answer {excerpt(said)!r} "
                f"to {excerpt(self.question)!r}; mend the check, which has to judge any text"
            ) from error
        if answer is None and kept:
            return Finding(Word.UNDECIDED, "no answer was given")
        return Finding(Word.KEPT if kept else Word.BROKEN, "check")

    def _read(self, answer: Message) -> str:
        # The check of a constraint reads words, and what a tool is told as well; a golden item's checker what the answer does.
        if self.interaction_id is not None:
            return answer.action
        return "\n".join((answer.text, *(call.function.arguments for call in answer.tool_calls or ())))


@dataclass(frozen=True)
class Tried:
    """A trial with both models' answers to it."""

    trial: Trial
    candidate_answer: Message | None
    baseline_answer: Message | None
    candidate: Finding
    baseline: Finding

    @property
    def outcome(self) -> Outcome:
        """What both answers come to."""
        if self.candidate.word == Word.UNDECIDED:
            return Outcome.UNDECIDED
        if self.candidate.word == Word.KEPT:
            return Outcome.MENDED if self.baseline.word == Word.BROKEN else Outcome.KEPT
        if self.baseline.word == Word.KEPT:
            return Outcome.NEWLY_BROKEN
        # A baseline that failed to answer is no excuse for a candidate that answered badly.
        excused = self.baseline_answer is not None or self.candidate_answer is None
        return Outcome.BROKEN_BEFORE if self.baseline.word == Word.BROKEN and excused else Outcome.UNDECIDED

    @property
    def why_undecided(self) -> str:
        """Why nobody can say what became of the rule here."""
        if self.candidate.word == Word.UNDECIDED:
            return self.candidate.by
        if self.baseline.word == Word.UNDECIDED:
            return f"the candidate breaks it, and of the baseline nobody can tell: {self.baseline.by}"
        return "the candidate breaks it, and the baseline gave no answer"


def trials_of(
    constraints: Sequence[Constraint], items: Sequence[GoldenItem] = (), *, learned: Container[str] = ()
) -> tuple[Trial, ...]:
    """Every probe of the constraints, those for training before the held-out ones, and then the golden items.

    Args:
        constraints: each once.
        items: golden items that try something; one without a checker is for the judge, by the criterion `safety`.
        learned: questions of held-out probes that a training saw all the same: they do not count as held out.
    """
    trials = [
        Trial(
            excerpt(constraint.text, NAME),
            (Message(role="user", content=probe.prompt),),
            held_out and probe.prompt not in learned,
            constraint.check,
            constraint.text,
        )
        for constraint in constraints
        for held_out, probes in ((False, constraint.probes), (True, constraint.held_out))
        for probe in probes
    ]
    for item in items:
        check = item.checker.passes if item.checker is not None else None
        name = excerpt(f"{GOLDEN}: {item.slice}" if item.slice else GOLDEN, NAME)
        trials.append(Trial(name, item.messages, True, check, SAFETY.description, item.interaction_id))
    return tuple(trials)


async def try_out(
    trials: Sequence[Trial],
    *,
    candidate: Checkpoint,
    champion: Checkpoint | None,
    base_model: str,
    asking: "Asking",
    judge: Judge | None,
    budget: Budget | None,
    seed: int = 0,
    on_progress: Progress = silent,
) -> tuple[Tried, ...]:
    """Put every trial to both models, and say of each answer whether it keeps its rule.

    Args:
        trials: what is asked.
        candidate: the model on trial.
        champion: what it is compared with; None for the base without an adapter.
        base_model: the base's local path or hub id.
        asking: who gets the answers.
        judge: who is asked where there is no check; without one such trials are undecided.
        budget: what pays for judgements; a trial that it does not pay for is undecided.
        seed: of the order in which the answers come before the judge.
        on_progress: told of answers and judgements.

    Raises:
        ConfigurationError: the judge cannot be asked about safety, has no price where the budget has a limit, or changed
            midway; or a check failed.
    """
    judged = [trial for trial in trials if trial.check is None]
    version = None
    if judge is not None and judged:
        must_be_able(judge, judged[0].rule, budget)
        version = judge.version
    conversations, ids = [trial.messages for trial in trials], [trial.interaction_id for trial in trials]
    after, before = [
        await asking.answers(model, base_model, conversations, interaction_ids=ids, on_progress=on_progress)
        for model in (candidate, champion)
    ]
    cases = [
        Case(trial.rule, trial.messages, *both, captured=trial.interaction_id is not None)
        for trial, *both in zip(trials, after, before, strict=True)
    ]
    panel = Panel(judge, budget, random.Random(seed), on_progress)
    settled = iter(await panel.settle([case for case, trial in zip(cases, trials, strict=True) if trial.check is None]))
    if judge is not None and version is not None and judge.version != version:
        raise ConfigurationError(
            f"judge {judge.name!r} changed from version {version} to {judge.version} while it judged; run the guard again"
        )
    tried = []
    for trial, case in zip(trials, cases, strict=True):
        check = trial.check
        found = next(settled) if check is None else (trial.checked(check, case.candidate), trial.checked(check, case.baseline))
        tried.append(Tried(trial, case.candidate, case.baseline, *found))
    return tuple(tried)
