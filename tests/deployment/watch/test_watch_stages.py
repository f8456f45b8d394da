"""What the watch makes of a deployment in the shadow, of a blue-green switch, and of a champion."""

from typing import Any

from continuum.store.database import Store
from continuum.store.shadow_answers import ShadowAnswer
from tests.builders import NOON, assistant
from tests.deployment.live import GOOD, HOUR, POOR, a_deployment, a_policy, both, conversations, mixed, seen


async def test_shadow_answers_are_compared_with_what_was_given(store: Store) -> None:
    record = a_deployment(store, shares=(), strategy="shadow", shadow=0.1)
    given = conversations(record, "stable", [GOOD] * 300)
    store.shadow_answers.add(
        ShadowAnswer(deployment_id=record.id, interaction_id=one.id, task="support", answer=assistant(answer), latency_ms=900)
        for one, answer in zip(given, mixed(300, 0.3), strict=True)
    )

    found = await seen(store, record, given)

    assert found.action == "rollback"
    assert found.evidence["quality"]["candidate"]["conversations"] == 300
    assert found.evidence["calls"]["candidate"]["latency_ms"]["median"] == 900
    assert found.evidence["split"] is None


async def test_a_shadow_that_is_as_good_may_go_on_as_a_canary(store: Store) -> None:
    record = a_deployment(store, shares=(), strategy="shadow", shadow=0.1)
    given = conversations(record, "stable", [GOOD] * 200) + conversations(record, "stable", [POOR] * 50, named="unshadowed")
    store.shadow_answers.add(
        ShadowAnswer(deployment_id=record.id, interaction_id=one.id, task="support", answer=assistant(GOOD))
        for one in given[:200]
    )

    assert (await seen(store, record, given)).action == "promote"


async def test_blue_green_is_compared_with_what_was_answered_before_the_switch(store: Store) -> None:
    record = a_deployment(store, shares=(1.0,), strategy="blue_green")
    before = conversations(
        record, "stable", [GOOD] * 300, at=NOON - 10 * HOUR, deployment_id=None, variant=None, source="capture"
    )

    better = await seen(store, record, before + conversations(record, "candidate", [GOOD] * 200))
    worse = await seen(store, record, conversations(record, "candidate", [POOR] * 200, named="worse"))

    assert better.action == "promote"
    assert better.evidence["quality"]["stable"]["conversations"] == 300
    assert worse.action == "rollback"


async def test_at_all_of_the_traffic_a_fall_below_its_trial_takes_it_back(store: Store) -> None:
    record = a_deployment(store, shares=(0.5, 1.0))
    trial = both(record, mixed(300, 0.1), mixed(300, 0.1))

    healthy = await seen(store, record, trial + conversations(record, "candidate", mixed(60, 0.1), at=NOON + HOUR))
    fallen = await seen(store, record, conversations(record, "candidate", mixed(200, 0.6), at=NOON + 2 * HOUR))

    assert healthy.action != "rollback"
    assert fallen.action == "rollback"
    assert "its judged quality fell" in fallen.words


async def test_the_champion_is_held_to_its_trial_for_as_long_as_it_serves(store: Store) -> None:
    record = a_deployment(store, shares=(0.5, 1.0), live=True)
    policy = a_policy()
    trial = both(record, mixed(300, 0.1), mixed(300, 0.1))
    live: dict[str, Any] = {"variant": "stable", "model": record.model}

    healthy = await seen(store, record, trial + conversations(record, "stable", mixed(400, 0.1), at=NOON + 2 * HOUR, **live))
    assert healthy.action == "promote"
    assert healthy.words.startswith("no fall since it is the champion")
    assert healthy.evidence["fall"]["held_to"] == 300

    worse = conversations(record, "stable", mixed(150, 0.4), at=NOON + 3 * HOUR, **live)
    fallen = await seen(store, record, worse, policy=policy)

    assert fallen.action == "rollback"
    assert fallen.evidence["fall"]["evidence"] >= fallen.evidence["fall"]["threshold"] == 20_000


async def test_the_champion_is_watched_while_a_newer_candidate_is_on_trial(store: Store) -> None:
    record = a_deployment(store, shares=(0.5, 1.0), live=True)
    trial = both(record, mixed(300, 0.1), mixed(300, 0.1))
    newer = a_deployment(store, model="support-v2", stable_model=record.model)
    beside = conversations(newer, "stable", [POOR] * 60, at=NOON + 3 * HOUR, named="beside", model=record.model)

    assert (await seen(store, record, trial + beside)).action == "rollback"


async def test_whoever_takes_nothing_back_for_its_quality_is_told_of_a_fall(store: Store) -> None:
    record = a_deployment(store, shares=(0.5, 1.0), live=True, rollback_on_quality_drop=None)
    trial = both(record, [GOOD] * 120, [GOOD] * 120)
    live = conversations(record, "stable", [POOR] * 60, at=NOON + 3 * HOUR, model=record.model)

    assert (await seen(store, record, trial + live)).action == "alarm"


async def test_a_champion_without_a_trial_is_held_to_its_own_beginning(store: Store) -> None:
    record = a_deployment(store, shares=(1.0,), live=True)
    live: dict[str, Any] = {"variant": "stable", "model": record.model}

    few = await seen(store, record, conversations(record, "stable", [GOOD] * 90, at=NOON + 2 * HOUR, **live))
    assert few.words == "the champion has too few judged conversations to see a fall by"

    more = conversations(record, "stable", [GOOD] * 20 + [POOR] * 60, at=NOON + 3 * HOUR, **live)
    assert (await seen(store, record, more)).action == "rollback"
