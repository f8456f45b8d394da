"""The annotator: a judge's opinion of every interaction of a task, within a budget.

It asks about what this judge has not scored by this rubric, oldest first, and stores as it goes: whatever ends a run, the next
one goes on where it stopped, and nothing is paid for twice. Any number of processes may work on one backlog at once.
"""

import asyncio
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal, Self

from pydantic import SecretStr

from continuum.annotation.backlog import Backlog, Draw, Tally, draw_of
from continuum.config import load_settings
from continuum.errors import ConfigurationError, JudgeError
from continuum.judging.admission import ensure_admitted
from continuum.judging.asking import judge_each
from continuum.judging.cached import CachedJudge, UnderWayElsewhere
from continuum.judging.criteria import rubric_fingerprint
from continuum.judging.families import warn_if_related
from continuum.judging.judge import Judge, Judgement, floor_of
from continuum.judging.jury import Jury
from continuum.judging.missing import causes
from continuum.judging.model_judge import EndpointJudge
from continuum.models.budget import Budget, BudgetExhausted
from continuum.policy import TaskPolicy
from continuum.progress import Progress, silent
from continuum.records import Admission, Annotation, Interaction, Message
from continuum.rubric import DEFAULT_CRITERIA, Criterion, normalised
from continuum.store import default_store
from continuum.timespan import start_of, utc_now

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from continuum.store.database import Store

HISTOGRAM_BINS = ("1", "2", "3", "4", "5")


@dataclass(frozen=True)
class AnnotationStats:
    """How a backlog stands after a run, and what the run did for it.

    What describes the backlog is counted in the store: it is the same after a run that found nothing left to do, and whichever
    of several processes did the work. What describes the run is `cost_usd`, `judged`, `cached`, `elsewhere` and
    `budget_exhausted`; the `judged` of all runs sum to the annotations that are stored.
    """

    total: int
    """Interactions of the backlog that have a score by this judge and rubric."""
    cost_usd: float
    """US dollars this run spent, calls of unknown outcome counted in full; 0 where no price is known."""
    score_histogram: dict[str, int]
    """How many have which overall score, rounded to a whole one: from "1" to "5"."""
    skipped: int = 0
    """Interactions left as they were: nothing was answered, or the judge could not be asked. A later run tries again."""
    unparseable: int = 0
    """Interactions whose judge gave nothing readable; noted as such, without a score."""
    suspected_injection: int = 0
    """Interactions with content that talks to the judge; their scores are kept and count for nothing."""
    not_applicable: int = 0
    """Interactions to whose answer not one criterion applies; noted as such, without a score."""
    floored: int = 0
    """Interactions with the lowest scores and without a call, for there is nothing in the answer that could be judged."""
    judged: int = 0
    """Annotations that this run wrote."""
    cached: int = 0
    """Annotations that cost nothing this time: they were there before, or their content had been judged before."""
    elsewhere: int = 0
    """Annotations that other processes wrote while this run went on."""
    budget_exhausted: bool = False
    """Whether the budget ended the run."""
    unreadable: int = 0
    """Of those skipped: interactions of which the judge said nothing readable, where that is not noted."""
    why_skipped: str | None = None
    """The commonest causes for which the judge could not be asked about some."""


class Annotator:
    """Scores a task's interactions with a judge.

    Args:
        judge_model: a model name at the judge's endpoint, a judge, or a list of these for a jury; None for the judge that
            CONTINUUM_JUDGE_MODEL names.
        criteria: the rubric; None for helpfulness, accuracy, conciseness and tone.
        batch_size: annotations stored at once that cost nothing; one that was paid for is stored with its price, at once.
        cost_budget_usd: the most one run may spend; None for no limit.
        store: where the interactions are; None for this process's store.
        base_url: the judge's OpenAI-compatible endpoint; None for the one of the environment.
        api_key: its key; None for the one of the environment.
        concurrency: calls under way at once.
        admission: whether the judge must have withstood the attack texts; None for what the task's policy says.
        role: `second` for a judge who watches the one that selects: it scores the sample that the policy draws for it, from
            its own share of the task's budget, and its scores select nothing. `trial` to see what a rubric would say: its
            scores select nothing until an annotator with the role `selecting` and the same rubric comes by.
        keep_unreadable: note interactions of which the judge says nothing readable; else they are left to be asked about again.

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
        admission: Literal["require", "warn", "off"] | None = None,
        role: Literal["selecting", "second", "trial"] = "selecting",
        keep_unreadable: bool = True,
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
        self._admission: Literal["require", "warn", "off"] | None = admission
        self._role: Literal["selecting", "second", "trial"] = role
        self._keep_unreadable = keep_unreadable

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
            judge_model=(policy.judge.model, *policy.judge.jury),
            criteria=policy.judge.criteria,
            store=store,
            base_url=policy.judge.base_url,
            api_key=api_key,
            concurrency=policy.judge.concurrency,
        )

    async def annotate_backlog(
        self,
        task: str,
        since: str | timedelta | datetime | None = None,
        *,
        until: datetime | None = None,
        only: Collection[str] | None = None,
        on_progress: Progress = silent,
        now: Callable[[], datetime] = utc_now,
    ) -> AnnotationStats:
        """Score the task's answered interactions that this judge has not scored by this rubric.

        Args:
            task: whose interactions; the share of them that its policy asks for.
            since: only those of the last such span, like "7d", or from a moment on; None for all.
            until: only those that began before this; None for all.
            only: ids of the interactions to judge; None for all. A second judge scores them whether its sample has them or not.
            on_progress: told after each judgement.
            now: the clock.

        Returns:
            How the backlog stands, and what the run did. A budget that ends it is a result, not an error.

        Raises:
            ConfigurationError: there is no such task, no judge, no price for a judge with a budget, or the endpoint refuses
                the key; what was scored before is stored.
            JudgeError: not one judgement succeeded.
            StoreError: the store failed; what it took before is stored.
        """
        store, judge, rubric = self._store or default_store(), self.judge, rubric_fingerprint(self.criteria)
        begin = since if isinstance(since, datetime) else start_of(since, now())
        if self._role == "selecting":
            store.annotations.select_by(task, judge=judge.name, rubric=rubric, now=now)
        backlog = Backlog(store, task, judge=judge.name, rubric=rubric, since=begin, until=until)
        if backlog.answered:
            store.tasks.ensure(task)  # Its account, where the spending is booked.
        policy = store.tasks.get(task).policy
        await asyncio.to_thread(store.workers.settle_dead)
        if kin := warn_if_related(judge.name, filter(None, store.interactions.counts_by(task, "model"))):
            warnings.warn(kin, stacklevel=2)
        draw = draw_of(policy, self._role, only)
        budget = Budget.of_task(store, policy, draw.purpose, limit_usd=self.cost_budget_usd, calls=self._concurrency, now=now)
        to_do = round((backlog.answered - backlog.scored) * draw.share)
        tally = Tally(store, to_do, on_progress, f"judging {task}", lambda: budget.spent_usd)
        try:
            if backlog.answered > backlog.scored:
                await self.admit(policy, budget=budget, judge=judge, on_progress=on_progress, now=now)
            await self._judge_live(backlog, judge, draw, budget, tally, now)
        except BudgetExhausted:
            pass  # The test of the judge could not be paid for: nothing is judged without it.
        finally:
            await tally.store()
        standing = backlog.standing()
        return AnnotationStats(
            total=sum(standing.scores.values()),
            cost_usd=budget.spent_usd,
            score_histogram={score: standing.scores.get(score, 0) for score in HISTOGRAM_BINS},
            skipped=tally.skipped,
            unparseable=standing.statuses.get("unparseable", 0),
            suspected_injection=standing.statuses.get("suspected_injection", 0),
            not_applicable=standing.statuses.get("not_applicable", 0),
            floored=standing.unasked,
            judged=len(tally.written),
            cached=backlog.scored + len(tally.written & tally.hits),
            elsewhere=max(sum(standing.statuses.values()) - backlog.scored - len(tally.written), 0),
            budget_exhausted=budget.exhausted,
            unreadable=tally.unreadable,
            why_skipped=causes(tally.failures),
        )

    async def admit(
        self,
        policy: TaskPolicy,
        *,
        budget: Budget | None = None,
        judge: Judge | None = None,
        on_progress: Progress = silent,
        now: Callable[[], datetime] = utc_now,
    ) -> Admission | None:
        """See to it that the judge withstood the attack texts, which is tested once for each version of it and each rubric.

        Args:
            policy: the task's, for what is required.
            budget: what pays; None for the task's share that pays for what this annotator judges.
            judge: the annotator's, where the caller has it open.
            on_progress: told after each call.
            now: the clock.

        Returns:
            The outcome; None where the policy asks for none, or the judge is one whom no text can talk to.

        Raises:
            JudgeNotAdmitted: the judge follows what the text that it judges tells it.
            BudgetExhausted: there is no money for the test.
            JudgeError: too many calls failed.
        """
        store = self._store or default_store()
        return await ensure_admitted(
            store,
            judge or self.judge,
            self.criteria,
            require=self._admission or policy.judge.admission,
            budget=budget
            or Budget.of_task(store, policy, draw_of(policy, self._role).purpose, limit_usd=self.cost_budget_usd, now=now),
            concurrency=self._concurrency,
            on_progress=on_progress,
            now=now,
        )

    async def _judge_live(
        self,
        backlog: Backlog,
        judge: Judge,
        draw: Draw,
        budget: Budget,
        tally: Tally,
        now: Callable[[], datetime],
    ) -> None:
        """Ask about each interaction now; first those that nobody is asking about, then those that others have left."""
        first = self._to_ask(backlog.sampled(draw), backlog, tally, now)
        await self._ask(first, CachedJudge(judge, backlog.store, wait=False, now=now), backlog, budget, tally, now)
        left, tally.elsewhere = tally.elsewhere, set()
        if not left or budget.exhausted:
            return
        second = self._to_ask((one for one in backlog.sampled(draw) if one.id in left), backlog, tally, now)
        with suppress(*[JudgeError] if tally.judged else []):  # What came before shows that the judge can be asked.
            await self._ask(second, CachedJudge(judge, backlog.store, now=now), backlog, budget, tally, now)

    async def _ask(
        self,
        cases: "Iterator[Case]",
        judge: CachedJudge,
        backlog: Backlog,
        budget: Budget,
        tally: Tally,
        now: Callable[[], datetime],
    ) -> None:
        def annotation(interaction: Interaction, judgement: Judgement) -> Annotation:
            return self._annotation(interaction, judgement, backlog, now())

        def writing(interaction: Interaction, judgement: Judgement) -> "Callable[[Connection], None] | None":
            kept = self._keep_unreadable or judgement.status != "unparseable"
            return tally.writing(partial(annotation, interaction), judgement) if kept else None

        async def ask(interaction: Interaction, conversation: Sequence[Message], response: Message) -> Judgement:
            # What is paid for is stored in the transaction that books the money.
            also = partial(writing, interaction)
            return await judge.judge(conversation, response, self.criteria, budget=budget, also=also)

        async def take(interaction: Interaction, outcome: Judgement | JudgeError) -> None:
            if isinstance(outcome, BudgetExhausted):
                return
            if isinstance(outcome, UnderWayElsewhere):
                tally.elsewhere.add(interaction.id)
            elif isinstance(outcome, JudgeError):
                tally.skip(outcome)
            elif outcome.status == "unparseable" and not self._keep_unreadable:
                tally.skip(unreadable=True)
            elif outcome.cached:
                tally.add(annotation(interaction, outcome), hit=True)
            else:
                tally.judged_now()
            if len(tally.pending) >= self.batch_size:
                await tally.store()

        await judge_each(cases, self.criteria, judge, on_outcome=take, concurrency=self._concurrency, budget=budget, ask=ask)

    def _to_ask(
        self, interactions: Iterable[Interaction], backlog: Backlog, tally: Tally, now: Callable[[], datetime]
    ) -> "Iterator[Case]":
        """The interactions that a judge must be asked about; the others are dealt with."""
        for interaction in interactions:
            if interaction.response is None:
                tally.skip()
                continue
            floor = floor_of(interaction.messages, interaction.response, self.criteria)
            if floor is None:
                yield interaction, interaction.messages, interaction.response
            else:
                tally.add(self._annotation(interaction, floor, backlog, now()))

    def _annotation(self, interaction: Interaction, judgement: Judgement, backlog: Backlog, at: datetime) -> Annotation:
        return as_annotation(interaction, judgement, backlog.judge, backlog.rubric, at, role=self._role)

    @property
    def judge(self) -> Judge:
        """Who judges.

        Raises:
            ConfigurationError: nobody is named, or there is neither an endpoint nor a key.
        """
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
        return EndpointJudge(judge, self._base_url or settings.judge_base_url, self._api_key or settings.judge_api_key)


Case = tuple[Interaction, tuple[Message, ...], Message]
"""An interaction, the conversation that it answers, and its answer."""


def as_annotation(
    interaction: Interaction,
    judgement: Judgement,
    judge: str,
    rubric: str,
    at: datetime,
    *,
    role: Literal["selecting", "second", "trial"] = "selecting",
) -> Annotation:
    """A judgement as the record that is stored."""
    return Annotation(
        interaction_id=interaction.id,
        task=interaction.task,
        judge=judge,
        rubric=rubric,
        role=role,
        status=judgement.status,
        scores=judgement.scores,
        reasons=judgement.reasons,
        overall=judgement.overall,
        served_by=judgement.served_by,
        cost_usd=judgement.cost_usd,
        created_at=at,
    )


def nearest_score(overall: float) -> str:
    """The whole score that an overall score is nearest to; halves go up."""
    return str(int(overall + 0.5))
