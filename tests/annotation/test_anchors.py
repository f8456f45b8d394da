from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest

from continuum.annotation.anchors import anchors_due, rejudge_anchors
from continuum.errors import ConfigurationError, NotEnoughData
from continuum.judging.criteria import rubric_fingerprint
from continuum.judging.judge import Judgement, version_of
from continuum.judging.scripted import ScriptedJudge
from continuum.models.budget import Budget
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.records import Annotation, Feedback, Interaction, Label, Message, Review
from continuum.rubric import Criterion
from continuum.store.anchors import AnchorRound
from continuum.store.database import Store
from tests.builders import NOON, interactions

TONE = (Criterion("tone", 1.0, "Kind"),)
RUBRIC = rubric_fingerprint(TONE)


def dice(text: str, sides: int) -> int:
    return int(sha256(text.encode()).hexdigest(), 16) % sides


def quality(answer: Message) -> float:
    return 1.5 + dice(answer.text, 7) / 2


class ModelJudge(ScriptedJudge):
    """A judge that scores by quality, with what a provider might change about it."""

    def __init__(
        self,
        *,
        name: str = "judge",
        build: str = "one",
        added: float = 0.0,
        noise: int = 0,
        cached: bool = False,
        cost: float = 0.0,
    ) -> None:
        super().__init__(name, lambda _, answer, __: min(5.0, quality(answer) + added), cost_usd=cost)
        self.build, self.cached = build, cached
        self.noise = noise
        self.prompt = 1

    @property
    def version(self) -> str:
        return version_of(self.name, self.prompt)

    async def judge(
        self, conversation: Sequence[Message], response: Message, criteria: Sequence[Criterion], *, budget: Budget | None = None
    ) -> Judgement:
        said = await super().judge(conversation, response, criteria, budget=budget)
        score = said.overall or 0.0
        if self.noise:
            score = 1.0 + dice(f"{self.noise} {response.text}", 9) / 2
        return replace(said, overall=score, served_by=f"{self.name}-{self.build}", cached=self.cached)


def at(day: float) -> object:
    return lambda: NOON + timedelta(days=day)


def a_task(store: Store, anchors: int = 40) -> list[Interaction]:
    rows = interactions(anchors)
    store.tasks.ensure("support")
    store.interactions.add(rows)
    store.reviews.add(Review(task="support", interaction_id=row.id, queue="anchor", probability=0.1) for row in rows)
    return rows


def people_label(store: Store) -> None:
    for asked in store.reviews.of("support", "anchor"):
        row = store.interactions.get(asked.review.interaction_id)
        assert row is not None
        assert row.response is not None
        said = Feedback(interaction_id=row.id, score=round(quality(row.response)), user_id="anna")
        store.feedback.add([said])
        store.reviews.answer(Label(review_id=asked.review.id, labeller="anna", feedback_id=said.id))


def due(store: Store, judge: ScriptedJudge, day: float, rubric: str = RUBRIC) -> str | None:
    return anchors_due(store, "support", judge, rubric, at(day))  # type: ignore[arg-type]


async def judged(store: Store, judge: ScriptedJudge, day: float, **options: object) -> AnchorRound:
    return await rejudge_anchors(store, "support", judge, TONE, now=at(day), **options)  # type: ignore[arg-type]


async def test_a_judge_that_stays_what_it_was_raises_no_alarm(store: Store) -> None:
    a_task(store)
    people_label(store)

    first = await judged(store, ModelJudge(), 0)
    second = await judged(store, ModelJudge(), 7)

    assert (first.alarm, first.evidence["compared_with"], len(first.scores)) == (False, None, 40)
    assert (second.alarm, second.evidence["alarms"]) == (False, [])
    assert second.evidence["shift"]["shift"] == 0
    assert second.evidence["agreement_with_people"]["items"] == 40
    assert store.anchors.of("support") == [first, second]
    assert store.anchors.latest("support") == second


async def test_scores_that_rose_raise_an_alarm_that_says_by_how_much_and_since_when(store: Store) -> None:
    a_task(store)
    first = await judged(store, ModelJudge(), 0)

    drifted = await judged(store, ModelJudge(build="two", added=0.3), 7)

    assert drifted.alarm
    assert drifted.evidence["compared_with"]["round"] == first.id
    assert drifted.evidence["shift"]["p"] < 0.01
    assert drifted.evidence["shift"]["low"] > 0
    (words,) = drifted.evidence["alarms"]
    assert words.startswith("judge scores the anchors 0.30 higher than on 2026-03-01: mean 3.21 after 2.91 (n=40, p=")
    assert drifted.served_by == "judge-two"


async def test_a_small_shift_is_not_worth_an_alarm_however_sure_it_is(store: Store) -> None:
    a_task(store)
    await judged(store, ModelJudge(), 0)

    moved = await judged(store, ModelJudge(added=0.05), 7)

    assert moved.evidence["shift"]["p"] < 0.01
    assert not moved.alarm


async def test_a_judge_that_no_longer_agrees_with_people_raises_an_alarm_at_the_same_mean(store: Store) -> None:
    a_task(store, 60)
    people_label(store)
    await judged(store, ModelJudge(), 0)

    lost = await judged(store, ModelJudge(noise=3), 7)

    fall = lost.evidence["agreement_with_people"]
    assert lost.alarm
    assert fall["before"] > 0.8
    assert fall["after"] < 0.4
    assert any("agrees less with people" in words for words in lost.evidence["alarms"])


async def test_the_first_round_stays_the_measure_so_that_slow_drift_adds_up(store: Store) -> None:
    a_task(store)
    alarms = [(await judged(store, ModelJudge(added=0.06 * week), 7 * week)).alarm for week in range(4)]

    assert alarms == [False, False, True, True]


async def test_a_judge_that_replaces_another_is_compared_once_with_it_and_then_with_itself(store: Store) -> None:
    a_task(store)
    await judged(store, ModelJudge(), 0)

    first = await judged(store, ModelJudge(name="newcomer", added=0.5), 7)
    second = await judged(store, ModelJudge(name="newcomer", added=0.5), 14)

    assert first.alarm
    assert first.evidence["compared_with"]["judge"] == "judge"
    assert not second.alarm
    assert second.evidence["compared_with"]["round"] == first.id


async def test_rounds_of_another_rubric_are_another_matter(store: Store) -> None:
    a_task(store)
    await judged(store, ModelJudge(), 0)

    other = await rejudge_anchors(store, "support", ModelJudge(added=1), (Criterion("accuracy", 1, "Right"),), now=at(1))  # type: ignore[arg-type]

    assert other.evidence["compared_with"] is None


async def test_few_anchors_show_nothing(store: Store) -> None:
    a_task(store, 9)
    await judged(store, ModelJudge(), 0)

    assert not (await judged(store, ModelJudge(added=2), 7)).alarm


async def test_they_are_due_weekly_and_with_each_change_of_the_judge(store: Store) -> None:
    judge = ModelJudge()
    assert due(store, judge, 0) is None
    rows = a_task(store)
    assert due(store, judge, 0) == "judge has not judged the anchors by this rubric"
    await judged(store, judge, 0)

    assert due(store, judge, 6.9) is None
    assert due(store, judge, 7) == "the anchors were last judged 7 days ago"
    assert due(store, judge, 1, rubric="another") == "judge has not judged the anchors by this rubric"
    changed = ModelJudge()
    changed.prompt = 2
    assert "has changed" in (due(store, changed, 1) or "")

    served = Annotation(
        interaction_id=rows[0].id, task="support", judge="judge", rubric=RUBRIC, served_by="judge-two",
        created_at=NOON + timedelta(days=2),
    )  # fmt: skip
    store.annotations.add([served])
    assert due(store, judge, 0.5) is None
    assert due(store, judge, 2.1) == "judge is served by judge-two, and was by judge-one"
    await judged(store, ModelJudge(build="two"), 2.2)
    assert due(store, ModelJudge(build="two"), 4) is None


async def test_it_spends_the_money_for_probes_and_what_it_covered_is_kept(store: Store) -> None:
    a_task(store, 20)
    policy = TaskPolicy(task="support", judge=JudgePolicy(budget_usd=2.0))
    store.tasks.register(policy)
    now = at(0)

    done = await judged(
        store,
        ModelJudge(cost=0.02),
        0,
        budget=Budget.of_task(store, policy, "probes", now=now),
        concurrency=1,  # type: ignore[arg-type]
    )

    assert len(done.scores) == 5
    assert done.evidence["budget_exhausted"]
    assert done.evidence["cost_usd"] == pytest.approx(0.1)
    assert store.accounts.balance("support", purpose="probes").spent_micro_usd == 100_000
    assert store.accounts.balance("support", purpose="annotation").spent_micro_usd == 0


async def test_without_any_money_there_is_no_round(store: Store) -> None:
    a_task(store)

    done = await judged(store, ModelJudge(cost=1.0), 0, budget=Budget(0.0))

    assert (done.scores, done.alarm, store.anchors.latest("support")) == ({}, False, None)


async def test_a_judge_that_remembers_is_refused(store: Store) -> None:
    a_task(store)

    with pytest.raises(ConfigurationError, match="without its cache"):
        await judged(store, ModelJudge(cached=True), 0)
    assert store.anchors.latest("support") is None


async def test_a_task_without_anchors_says_so(store: Store) -> None:
    store.tasks.ensure("support")

    with pytest.raises(NotEnoughData, match="has no anchors"):
        await judged(store, ModelJudge(), 0)


async def test_progress_is_told_as_judgements_come(store: Store) -> None:
    a_task(store, 5)
    told: list[tuple[int, int, str]] = []

    await judged(store, ModelJudge(), 0, on_progress=lambda *said: told.append(said))

    assert [done for done, _, _ in told] == [1, 2, 3, 4, 5]
    assert told[-1][1:] == (5, "judging the anchors of support")
