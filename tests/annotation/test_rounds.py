"""One round of annotation does all that a policy asks of its judges, and what only watches may fail without taking it away."""

import json
import re
from collections import Counter
from datetime import timedelta

import pytest
from pydantic import SecretStr

from continuum.annotation.rounds import annotate, half_of_what_is_left
from continuum.annotation.trust import Trust, spending
from continuum.commands.judging import jury_line
from continuum.errors import ConfigurationError
from continuum.judging.referred import second_scores
from continuum.policy import JudgePolicy, SecondJudge, TaskPolicy
from continuum.records import Review
from continuum.splits.sides import task_sides
from continuum.store.database import Store
from continuum.timespan import utc_now
from tests.builders import interactions
from tests.stub_batch import stub_batch
from tests.stub_endpoint import StubEndpoint, error, scores, stub_endpoint

FOURS = scores(helpfulness=4, accuracy=4, conciseness=4, tone=4)


def policy_for(stub: StubEndpoint, **fields) -> TaskPolicy:
    values = {"model": "stub", "base_url": stub.base_url, "admission": "off", "audit_rate": 0.5, "anchors": 3}
    return TaskPolicy(task="support", judge=JudgePolicy(**(values | fields)))


def registered(store: Store, policy: TaskPolicy, count: int = 40) -> TaskPolicy:
    store.tasks.register(policy)
    store.interactions.add(interactions(count))
    return policy


async def test_a_round_judges_draws_for_people_and_judges_the_anchors_at_once(store: Store) -> None:
    async with stub_endpoint(lambda n, body: FOURS) as stub:
        policy = registered(store, policy_for(stub))
        first = await annotate(store, policy)
        second = await annotate(store, policy)

    assert first.stats is not None
    assert (first.stats.judged, first.drawn.anchors) == (40, 3)
    assert 10 <= first.drawn.audit <= 30
    assert 7 <= first.useful <= 25
    assert first.anchors is not None
    assert first.anchors.evidence is not None
    assert second.stats is not None
    assert (second.stats.judged, second.drawn.audit, second.drawn.anchors, second.useful) == (0, 0, 0, 0)
    assert second.anchors is None
    assert stub.calls == 40 + 3
    assert first.words() == "40 judged at a cost that is not known: there is no price for the judge, 3 anchors judged again"
    assert Trust.of(store, "support").judge == "stub"


async def test_a_second_judge_that_fails_is_told_of_and_takes_nothing_away(store: Store) -> None:
    def reply(n: int, body: dict):
        return error(400, "no such thing") if body["model"] == "witness" else FOURS

    async with stub_endpoint(reply) as stub:
        policy = registered(store, policy_for(stub, second=SecondJudge(model="witness", sample_rate=0.5), anchors=0))
        done = await annotate(store, policy)

    assert done.stats is not None
    assert done.stats.total == 40
    assert done.second is None
    assert len(done.troubles) == 1
    assert "second judge" in done.troubles[0]


async def test_the_second_judge_scores_a_sample(store: Store) -> None:
    async with stub_endpoint(lambda n, body: FOURS) as stub:
        policy = registered(store, policy_for(stub, second=SecondJudge(model="witness", sample_rate=0.5), anchors=0), 100)
        done = await annotate(store, policy)

    assert done.second is not None
    assert 30 < done.second.judged < 70
    assert sum(body["model"] == "witness" for body in stub.bodies) == done.second.judged


async def test_a_jury_has_no_batch_endpoint(store: Store) -> None:
    async with stub_endpoint(lambda n, body: FOURS) as stub:
        policy = registered(store, policy_for(stub, jury=("other",)))
        with pytest.raises(ConfigurationError, match="batch endpoint"):
            await annotate(store, policy, mode="batch")


async def test_what_was_spent_is_told_by_purpose_and_period(store: Store) -> None:
    async with stub_endpoint(lambda n, body: FOURS) as stub:
        policy = registered(store, policy_for(stub, model="gpt-4o-mini", budget_usd=10.0, anchors=0).model_copy(), 5)
        with pytest.warns(UserWarning, match="gpt family"):
            done = await annotate(store, policy)

    told = {row.purpose: row for row in spending(store, policy)}
    assert told["annotation"].spent_usd == pytest.approx(done.cost_usd)
    assert told["annotation"].limit_usd == 5.0
    assert (told["guard"].spent_usd, told["guard"].limit_usd) == (0.0, 3.0)
    later = spending(store, policy, now=lambda: utc_now() + timedelta(days=62))
    assert {row.spent_usd for row in later} == {0.0}


async def test_in_batch_mode_a_round_hands_over_collects_and_asks_live_what_stayed_unreadable(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTINUUM_JUDGE_API_KEY", "key")
    asked: Counter[str] = Counter()

    def answer(body: dict) -> str:
        content = str(body["messages"][1])
        asked[content] += 1
        return "I like it" if "Question number 3:" in content and asked[content] == 1 else FOURS

    async with stub_batch(answer) as stub:
        judge = JudgePolicy(model="judge", base_url=stub.base_url, mode="batch", admission="off", anchors=0)
        policy = registered(store, TaskPolicy(task="support", judge=judge), 6)
        rounds = [await annotate(store, policy, api_key=SecretStr("key")) for _ in range(6)]

    assert rounds[0].submitted is not None
    assert (rounds[0].submitted.requests, rounds[0].stats) == (6, None)
    assert rounds[1].words().endswith("at its endpoint")
    assert sum(stats.total for done in rounds for stats in done.collected) == 5
    assert sum(done.stats.judged for done in rounds if done.stats) == 1
    assert len(stub.live) == 1
    assert len(store.annotations.of(one.id for one in store.interactions.scan("support"))) == 6
    assert store.accounts.balance("support").reserved_micro_usd == 0


async def test_how_far_a_jury_agrees_is_told_over_its_whole_backlog(store: Store) -> None:
    def reply(n: int, body: dict):
        question = int(re.findall(r"Question number (\d+)", json.dumps(body))[0])
        helpful = 1 + question % 5
        differs = body["model"] == "other"
        return scores(helpfulness=helpful, accuracy=4 if differs else 2, conciseness=4, tone=5 - question % 3 - differs)

    async with stub_endpoint(reply) as stub:
        policy = registered(store, policy_for(stub, jury=("other",), anchors=0), 30)
        await annotate(store, policy)
        told = Trust.of(store, "support").jury
        alone = registered(store, policy_for(stub).model_copy(update={"task": "alone"}), 0)
        await annotate(store, alone)

    assert told["helpfulness"].value == pytest.approx(1.0)
    assert told["helpfulness"].items == 30
    assert told["accuracy"].value < 0
    assert 0 < told["tone"].value < 1
    assert set(told) == {"overall", "helpfulness", "accuracy", "conciseness", "tone"}
    assert jury_line(told).startswith("the jury's judges agree with Krippendorff's alpha, on 30 answers: overall ")
    assert Trust.of(store, "alone").jury == {}


async def test_what_curation_referred_is_scored_by_the_second_judge_and_then_asked_of_people(store: Store) -> None:
    fives = scores(helpfulness=5, accuracy=5, conciseness=5, tone=5)
    ones = scores(helpfulness=1, accuracy=1, conciseness=1, tone=1)
    async with stub_endpoint(lambda n, body: ones if body["model"] == "stub" else fives) as stub:
        policy = policy_for(stub, second=SecondJudge(model="witness", sample_rate=0.0), anchors=0, audit_rate=0.0)
        registered(store, policy, 60)
        await annotate(store, policy)
        queued = store.reviews.ids("support", "useful")
        side = task_sides(store, policy).side
        referred = sorted(one for one in side if side[one] == "train" and one not in queued)[:4]
        store.reviews.add(Review(task="support", interaction_id=one, queue="referred", reason="doubted") for one in referred)
        done = await annotate(store, policy)
        again = await annotate(store, policy)

    assert done.referred is not None
    assert (done.referred.judged, done.second and done.second.judged) == (4, 0)
    assert again.referred is None
    assert done.words().endswith("4 that curation referred to it for $0.0000")
    assert set(second_scores(store, "support")) == set(referred)
    waiting = store.reviews.waiting("support", "useful", "ada", overlap=1, limit=4)
    assert {review.interaction_id for review in waiting} == set(referred)
    assert waiting[0].reason == "referred by curation: doubted; a second judge says 5.0"


async def test_referrals_take_half_of_what_the_second_judge_has_left(store: Store) -> None:
    policy = TaskPolicy(task="support", judge=JudgePolicy(model="a", second=SecondJudge(model="b"), budget_usd=10.0))
    store.tasks.register(policy)

    assert half_of_what_is_left(store, policy, utc_now) == 0.5
    assert half_of_what_is_left(store, TaskPolicy(task="support"), utc_now) is None
