"""Verdicts that were given on golden items of which people say otherwise later: opened, told, given again, never rewritten."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pytest

from continuum.deployment.clearance import carried
from continuum.deployment.controller import tick
from continuum.deployment.notifying import Channel, write_down
from continuum.errors import DeploymentError
from continuum.guard.guard import RegressionGuard
from continuum.policy import SplitPolicy, TaskPolicy
from continuum.records import Checkpoint, Feedback, Message, Verdict, VerdictStatus
from continuum.rejudging import Rejudged, attempt_of, judge_again
from continuum.reopening import look
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.splits.golden_growth import hold_out
from continuum.status import status_of
from continuum.store.database import Store
from continuum.store.reopenings import Open
from tests.builders import NOON, assistant, interactions
from tests.deployment.leading import Shelf, Told

RIGHT = "It takes two days."
DAY = timedelta(days=1)


class Answering:
    """A model that always says the same, by settings that let what it says be kept; counts what it is asked."""

    settings = {"says": RIGHT}

    def __init__(self) -> None:
        self.asked = 0

    async def answer(self, model: Checkpoint | None, conversations: Sequence[Sequence[Message]]) -> list[Message | None]:
        self.asked += len(conversations)
        return [assistant(RIGHT) for _ in conversations]


@pytest.fixture
def store(either_store: Store) -> Store:
    """An empty store on each of the two databases."""
    return either_store


class Guarded:
    """A task whose golden answers people have corrected to what the candidate says, and the verdict on it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.answering = Answering()
        self.policy = TaskPolicy(task="support", splits=SplitPolicy(golden=0.9, validation=0.05))
        store.tasks.register(self.policy)
        rows = interactions(60)
        store.interactions.add(rows, now=self.at(NOON))
        self.says(rows, RIGHT, NOON)
        golden = hold_out(store, self.policy, now=self.at(NOON))
        assert golden is not None
        self.golden = golden
        self.rows = [row for row in rows if row.id in {item.interaction_id for item in golden}]

    def at(self, moment: datetime) -> Callable[[], datetime]:
        return lambda: moment

    def says(self, rows, words: str | None, when: datetime) -> None:
        """A person says what the answers should have been; None for what they were."""
        self.store.feedback.add(
            [
                Feedback(interaction_id=row.id, correction=words or row.response.text, user_id="ada", recorded_at=when)
                for row in rows
            ],
            now=self.at(when),
        )

    def guard(self, policy: TaskPolicy) -> RegressionGuard:
        return RegressionGuard.for_task(policy, store=self.store, answerer=self.answering)

    async def judged(self, version: int = 1) -> Verdict:
        """The verdict on a candidate, as the guard gives it."""
        model = Checkpoint(id=f"c{version}", task="support", version=version, base_model="tiny", uri="nowhere", dataset_id="d")
        self.store.checkpoints.add(model)
        return await self.guard(self.policy).evaluate(model)

    async def judged_again(self, when: datetime) -> Rejudged:
        return await judge_again(self.store, "support", guard=self.guard, now=self.at(when))

    def deployed(self, verdict: Verdict, state: DeploymentState) -> DeploymentRecord:
        record = DeploymentRecord(
            task="support",
            checkpoint_id=verdict.checkpoint_id,
            model="support-v1",
            stable_model="production",
            verdict_id=verdict.id,
            state=state,
            traffic=1.0 if state is DeploymentState.LIVE else 0.1,
            max_traffic=1.0,
        )
        self.store.deployments.add(record, DeploymentEvent(deployment_id=record.id, actor="test", action="deploy"))
        return record


@pytest.fixture
def case(store: Store) -> Guarded:
    return Guarded(store)


async def test_a_verdict_is_open_as_long_as_people_say_otherwise_of_what_it_was_given_on(case: Guarded, store: Store) -> None:
    verdict = await case.judged()
    assert verdict.status is VerdictStatus.APPROVED
    assert look(store, now=case.at(NOON + DAY)).verdicts == {}

    case.says(case.rows[:3], "It takes a week.", NOON + DAY)
    assert look(store, now=case.at(NOON + DAY)).verdicts == {"support": 3}
    assert look(store, now=case.at(NOON + DAY)).verdicts == {}
    assert store.reopenings.counts() == {"support": Open(verdicts=1, items=3)}
    assert status_of(store, "support").reopened_verdicts == 1

    case.says(case.rows[:3], RIGHT, NOON + 2 * DAY)
    look(store, now=case.at(NOON + 2 * DAY))
    assert store.reopenings.counts() == {}


async def test_a_score_that_leaves_the_reference_as_it_is_opens_no_verdict(case: Guarded, store: Store) -> None:
    await case.judged()

    store.feedback.add([Feedback(interaction_id=case.rows[0].id, score=1)], now=case.at(NOON + DAY))

    assert look(store, now=case.at(NOON + DAY)).verdicts == {}


async def test_a_verdict_is_given_again_on_what_people_say_now_and_the_old_one_stays(case: Guarded, store: Store) -> None:
    before = await case.judged()
    kept, asked = store.verdicts.get(before.id), case.answering.asked
    case.says(case.rows[:3], None, NOON + DAY)

    done = await case.judged_again(NOON + DAY)

    (anew,) = done.given
    assert (anew.items, anew.before.id, anew.verdict.baseline) == (3, before.id, "production")
    assert anew.verdict.golden_id != before.golden_id
    assert anew.verdict.deltas["action_match"] < before.deltas["action_match"]
    assert store.verdicts.get(before.id) == kept
    assert store.verdicts.latest("c1") == anew.verdict
    # What it had answered is kept, and judging it again is no further try on the same questions.
    assert case.answering.asked == asked
    assert anew.verdict.evidence["ledger"]["position"] == before.evidence["ledger"]["position"] == 1
    assert len(store.golden_uses.of("support")) == 1
    assert any(before.id in note for note in anew.verdict.evidence["notes"])
    assert store.reopenings.counts() == {}
    look(store, now=case.at(NOON + DAY))
    assert store.reopenings.counts() == {}
    assert (await case.judged_again(NOON + 2 * DAY)).given == ()


async def test_people_are_told_once_of_a_verdict_that_is_open(case: Guarded, store: Store) -> None:
    await case.judged()
    case.says(case.rows[:3], "It takes a week.", NOON + DAY)
    look(store, now=case.at(NOON + DAY))
    channel = Channel("webhook", "http://127.0.0.1:9")  # pyright: ignore[reportArgumentType]

    for _ in range(2):
        write_down(store, [channel], NOON + DAY)

    (told,) = [one for one in store.notifications.waiting("support") if one.kind == "reopened"]
    assert "support-v1 was approved: the verdict was given on 3 items of which people now say otherwise" in told.words


async def test_a_canary_whose_verdict_turned_raises_an_alarm_may_not_go_on_and_is_taken_back(case: Guarded, store: Store) -> None:
    record = case.deployed(await case.judged(), DeploymentState.CANARY)
    case.says(case.rows, None, NOON + DAY)

    (anew,) = (await case.judged_again(NOON + DAY)).given

    assert anew.verdict.status is VerdictStatus.BLOCKED
    assert anew.alarmed == (record.id,)
    seen = store.deployments.get(record.id)
    assert seen is not None
    assert "people say otherwise of" in (seen.alarm or "")
    with pytest.raises(DeploymentError, match="the newest verdict is blocked"):
        carried(store, seen, 0.5, live_evidence=True)
    after = await tick(store, seen, look=Told("promote"), backend=lambda _: Shelf(), now=case.at(NOON + DAY))
    assert after.record.state is DeploymentState.ROLLED_BACK
    assert after.record.traffic == 0


async def test_a_champion_whose_verdict_turned_is_left_to_people_with_an_alarm_that_stays(case: Guarded, store: Store) -> None:
    before = await case.judged()
    record = case.deployed(before, DeploymentState.LIVE)
    case.says(case.rows, None, NOON + DAY)

    (anew,) = (await case.judged_again(NOON + DAY)).given

    assert (anew.verdict.status, anew.verdict.baseline) == (VerdictStatus.BLOCKED, before.baseline)
    assert anew.alarmed == (record.id,)
    seen = store.deployments.get(record.id)
    assert seen is not None
    after = await tick(store, seen, look=Told("promote"), backend=lambda _: Shelf(), now=case.at(NOON + DAY))
    assert (after.record.state, after.record.alarm) == (DeploymentState.LIVE, seen.alarm)


async def test_a_champions_alarm_is_raised_by_who_leads_it_where_nobody_lived_to_do_it(case: Guarded, store: Store) -> None:
    record = case.deployed(await case.judged(), DeploymentState.LIVE)
    case.says(case.rows, None, NOON + DAY)
    look(store, now=case.at(NOON + DAY))
    hold_out(store, case.policy, now=case.at(NOON + DAY))
    # Given, stored, and killed before the alarm.
    model, before = store.checkpoints.get("c1"), store.verdicts.latest("c1")
    assert model is not None
    await case.guard(case.policy).evaluate(model, again=before)

    after = await tick(store, record, look=Told("promote"), backend=lambda _: Shelf(), now=case.at(NOON + DAY))

    assert (after.did, after.record.state) == ("alarm", DeploymentState.LIVE)


async def test_a_verdict_given_by_hand_meanwhile_closes_what_was_open_of_the_one_before(case: Guarded, store: Store) -> None:
    before = await case.judged()
    case.says(case.rows[:3], None, NOON + DAY)
    look(store, now=case.at(NOON + DAY))
    hold_out(store, case.policy, now=case.at(NOON + DAY))
    model = store.checkpoints.get("c1")
    assert model is not None

    by_hand = await case.guard(case.policy).evaluate(model)
    look(store, now=case.at(NOON + 2 * DAY))

    assert store.reopenings.counts() == {}
    settled = [row for rows in store.reopenings.of([row.id for row in case.rows], "verdict").values() for row in rows]
    assert {(row.used_by, row.settled_by) for row in settled if row.opened_at} == {(before.id, by_hand.id)}


async def test_only_verdicts_that_matter_are_opened_and_each_as_soon_as_it_does(case: Guarded, store: Store) -> None:
    first = await case.judged(1)
    await case.judged(2)
    look(store, now=case.at(NOON))
    case.says(case.rows[:2], None, NOON + DAY)

    look(store, now=case.at(NOON + DAY))
    assert store.reopenings.counts() == {"support": Open(verdicts=1, items=2)}

    # Days after the feedback was looked at, the older candidate is deployed.
    case.deployed(first, DeploymentState.CANARY)
    look(store, now=case.at(NOON + 5 * DAY))
    assert store.reopenings.counts() == {"support": Open(verdicts=2, items=2)}


async def test_what_cannot_be_given_again_is_told_stays_open_and_is_tried_once_an_hour(case: Guarded, store: Store) -> None:
    before = await case.judged()
    store.verdicts.add(before.model_copy(update={"id": "newer", "baseline": "gone", "created_at": before.created_at + DAY}))
    case.deployed(before, DeploymentState.LIVE)
    case.says(case.rows[:2], None, NOON + DAY)

    done = await case.judged_again(NOON + DAY)

    assert done.given == ()
    assert "compared with checkpoint gone" in done.words()
    waiting = store.reopenings.open_of("support")
    assert len(waiting) == 2
    first, again, later = (attempt_of(waiting, NOON + timedelta(minutes=minutes)) for minutes in (0, 59, 60))
    assert first == again != later
    assert attempt_of([], NOON) is None
