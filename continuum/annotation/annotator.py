"""The annotator: a judge's opinion of every interaction of a task, within a budget.

It asks about what this judge has not scored by this rubric, oldest first, and stores as it goes: whatever ends a run, the next
one goes on where it stopped, and nothing is paid for twice.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from pydantic import SecretStr

from continuum.config import load_settings
from continuum.errors import ConfigurationError, JudgeError
from continuum.judging.asking import judge_each
from continuum.judging.criteria import rubric_fingerprint
from continuum.judging.injection import has_content
from continuum.judging.judge import Judge, Judgement
from continuum.judging.jury import Jury
from continuum.judging.model_judge import EndpointJudge
from continuum.models.budget import Budget, BudgetExhausted
from continuum.policy import TaskPolicy
from continuum.progress import Progress, silent
from continuum.records import Annotation, Interaction, Message
from continuum.rubric import DEFAULT_CRITERIA, Criterion, normalised
from continuum.store import default_store
from continuum.timespan import start_of, utc_now

if TYPE_CHECKING:
    from continuum.store.database import Store

HISTOGRAM_BINS = ("1", "2", "3", "4", "5")


@dataclass(frozen=True)
class AnnotationStats:
    """What one run over a backlog came to."""

    total: int
    """Interactions that got a score."""
    cost_usd: float
    """US dollars spent, calls of unknown outcome counted in full; 0 where no price is known."""
    score_histogram: dict[str, int]
    """How many got which overall score, rounded to a whole one: from "1" to "5"."""
    skipped: int = 0
    """Interactions left as they were: nothing was answered, or the judge could not be asked. A later run tries again."""
    unparseable: int = 0
    """Interactions whose judge gave nothing readable; noted as such, without a score."""
    suspected_injection: int = 0
    """Interactions with content that talks to the judge; their scores are kept and count for nothing."""
    cached: int = 0
    """Interactions that this judge had scored by this rubric before."""
    budget_exhausted: bool = False
    """Whether the budget ended the run."""


@dataclass
class Tally:
    """The annotations of a run so far: those not stored yet, and the counts of all."""

    pending: list[Annotation] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    scores: Counter[str] = field(default_factory=Counter)
    skipped: int = 0

    @property
    def done(self) -> int:
        """Interactions dealt with."""
        return self.skipped + self.statuses.total()


class Annotator:
    """Scores a task's interactions with a judge.

    Args:
        judge_model: a model name at the judge's endpoint, a judge, or a list of these for a jury; None for the judge that
            CONTINUUM_JUDGE_MODEL names.
        criteria: the rubric; None for helpfulness, accuracy, conciseness and tone.
        batch_size: annotations stored at once.
        cost_budget_usd: the most one run may spend; None for no limit.
        store: where the interactions are; None for this process's store.
        base_url: the judge's OpenAI-compatible endpoint; None for the one of the environment.
        api_key: its key; None for the one of the environment.
        concurrency: judgements under way at once.

    Raises:
        ConfigurationError: the criteria make no rubric, or a number is out of range.
    """

    def __init__(
        self,
        judge_model: str | Judge | Sequence[str | Judge] | None = None,
        criteria: Sequence[Criterion] | None = None,
        batch_size: int = 50,
        cost_budget_usd: float | None = None,
        *,
        store: "Store | None" = None,
        base_url: str | None = None,
        api_key: SecretStr | None = None,
        concurrency: int = 8,
    ) -> None:
        if batch_size < 1 or concurrency < 1:
            raise ConfigurationError(f"batch_size {batch_size} and concurrency {concurrency} must be 1 or more")
        if cost_budget_usd is not None and not cost_budget_usd >= 0:
            raise ConfigurationError(f"cost_budget_usd is {cost_budget_usd}; it must be 0 or more, or None for no limit")
        self.judge_model = judge_model
        self.criteria = normalised(tuple(criteria) if criteria is not None else DEFAULT_CRITERIA)
        self.batch_size = batch_size
        self.cost_budget_usd = cost_budget_usd
        self._store = store
        self._base_url = base_url
        self._api_key = api_key
        self._concurrency = concurrency

    @classmethod
    def for_task(cls, policy: TaskPolicy, *, store: "Store | None" = None, api_key: SecretStr | None = None) -> Self:
        """The annotator that a task's policy asks for.

        Raises:
            ConfigurationError: the policy names no judge.
        """
        if policy.judge.model is None:
            raise ConfigurationError(
                f"task {policy.task!r} has no judge; set judge.model in its policy, or go by people's verdicts alone"
            )
        return cls(
            judge_model=policy.judge.model,
            criteria=policy.judge.criteria,
            store=store,
            base_url=policy.judge.base_url,
            api_key=api_key,
            concurrency=policy.judge.concurrency,
        )

    async def annotate_backlog(
        self,
        task: str,
        since: str | timedelta | None = None,
        *,
        on_progress: Progress = silent,
        now: Callable[[], datetime] = utc_now,
    ) -> AnnotationStats:
        """Score the task's answered interactions that this judge has not scored by this rubric.

        Args:
            task: whose interactions.
            since: only those of the last such span, like "7d"; None for all.
            on_progress: told after each judgement.
            now: the clock.

        Returns:
            What the run came to. A budget that ends it is a result, not an error.

        Raises:
            ConfigurationError: there is no such task, no judge, no price for a judge with a budget, or the endpoint refuses
                the key; what was scored before is stored.
            JudgeError: not one judgement succeeded.
        """
        store, judge, rubric = self._store or default_store(), self._judge(), rubric_fingerprint(self.criteria)
        start = start_of(since, now())
        answered, cached = store.interactions.count_annotated(task, judge=judge.name, rubric=rubric, since=start)
        if answered:
            store.tasks.ensure(task)  # Its account, where the spending is booked.
        else:
            store.tasks.get(task)
        policy = store.tasks.get(task).policy
        budget = Budget.of_task(store, policy, "annotation", limit_usd=self.cost_budget_usd, now=now)
        tally = Tally()

        def take(interaction: Interaction, outcome: Judgement | JudgeError) -> None:
            if isinstance(outcome, BudgetExhausted):
                return
            if isinstance(outcome, JudgeError):
                tally.skipped += 1
            else:
                tally.pending.append(as_annotation(interaction, outcome, judge.name, rubric, now()))
                tally.statuses[outcome.status] += 1
                if outcome.overall is not None:
                    tally.scores[nearest_score(outcome.overall)] += 1
            if len(tally.pending) >= self.batch_size:
                self._flush(store, tally)
            on_progress(tally.done, answered - cached, f"judging {task}")

        backlog = store.interactions.unannotated(task, judge=judge.name, rubric=rubric, since=start)
        try:
            cases = answered_cases(backlog, tally)
            await judge_each(cases, self.criteria, judge, on_outcome=take, concurrency=self._concurrency, budget=budget)
        finally:
            self._flush(store, tally)
        return AnnotationStats(
            total=tally.statuses["ok"],
            cost_usd=budget.spent_usd,
            score_histogram={score: tally.scores[score] for score in HISTOGRAM_BINS},
            skipped=tally.skipped,
            unparseable=tally.statuses["unparseable"],
            suspected_injection=tally.statuses["suspected_injection"],
            cached=cached,
            budget_exhausted=budget.exhausted,
        )

    def _flush(self, store: "Store", tally: Tally) -> None:
        store.annotations.add(tally.pending)
        tally.pending.clear()

    def _judge(self) -> Judge:
        named = self.judge_model if self.judge_model is not None else load_settings().judge_model
        if not named:
            raise ConfigurationError("the annotator has no judge; give judge_model, or set CONTINUUM_JUDGE_MODEL")
        if isinstance(named, Sequence) and not isinstance(named, str):
            judges = [self._one_judge(judge) for judge in named]
            return judges[0] if len(judges) == 1 else Jury(judges)
        return self._one_judge(named)

    def _one_judge(self, judge: str | Judge) -> Judge:
        if not isinstance(judge, str):
            return judge
        settings = load_settings()
        chosen = EndpointJudge(judge, self._base_url or settings.judge_base_url, self._api_key or settings.judge_api_key)
        if self.cost_budget_usd is not None:
            chosen.model.must_be_priced()
        return chosen


def answered_cases(backlog: Iterable[Interaction], tally: Tally) -> Iterator[tuple[Interaction, tuple[Message, ...], Message]]:
    """The interactions that have an answer to judge; the others are counted as skipped."""
    for interaction in backlog:
        if interaction.response is not None and has_content(interaction.response):
            yield interaction, interaction.messages, interaction.response
        else:
            tally.skipped += 1


def as_annotation(interaction: Interaction, judgement: Judgement, judge: str, rubric: str, at: datetime) -> Annotation:
    """A judgement as the record that is stored."""
    return Annotation(
        interaction_id=interaction.id,
        task=interaction.task,
        judge=judge,
        rubric=rubric,
        status=judgement.status,
        scores=judgement.scores,
        reasons=judgement.reasons,
        overall=judgement.overall,
        cost_usd=judgement.cost_usd,
        created_at=at,
    )


def nearest_score(overall: float) -> str:
    """The whole score that an overall score is nearest to; halves go up."""
    return str(int(overall + 0.5))
