from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import update

from continuum.amending import amended
from continuum.errors import ConfigurationError
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.rubric import Criterion
from continuum.store.database import Store
from continuum.store.tables import tasks
from tests.builders import NOON


def test_a_registered_policy_is_read_back_whole(store: Store) -> None:
    policy = TaskPolicy(
        task="support",
        auto_train_when=1000,
        judge=JudgePolicy(model="gpt-4", criteria=(Criterion("tone", 1.0, "Kind", {1: "rude", 5: "warm"}),)),
    )

    store.tasks.register(policy)

    assert store.tasks.get("support").policy == policy


def test_registering_again_changes_the_policy_and_keeps_what_was_learned(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support"))
    store.tasks.advance("support", base=0, to=41)

    state = store.tasks.register(TaskPolicy(task="support", auto_train_when=5))

    assert (state.policy.auto_train_when, state.trained_through) == (5, 41)


def test_of_changes_at_once_none_is_lost(store: Store) -> None:
    changes = {
        "auto_train_when": 7,
        "curation.target_size": 70,
        "judge.concurrency": 3,
        "judge.anchors": 9,
        "splits.max_golden": 123,
        "training.epochs": 2.5,
    }

    def change(field: str) -> None:
        store.tasks.change("support", lambda stored: amended("support", stored, {field: changes[field]}))

    with ThreadPoolExecutor(len(changes)) as pool:
        list(pool.map(change, changes))

    assert store.tasks.get("support").policy == amended("support", {}, changes)


def test_a_change_that_makes_no_sense_leaves_the_policy_as_it_was(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", auto_train_when=5))

    with pytest.raises(ConfigurationError, match="auto_train_when"):
        store.tasks.change("support", lambda stored: amended("support", stored, {"auto_train_when": 0}))

    assert store.tasks.get("support").policy.auto_train_when == 5


def test_a_policy_that_was_copied_past_its_checks_is_not_written(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="auto_train_when"):
        store.tasks.register(TaskPolicy(task="support").model_copy(update={"auto_train_when": 0}))

    assert store.tasks.names() == []


def test_a_stored_policy_that_cannot_be_read_is_named_with_its_cure(store: Store) -> None:
    store.tasks.ensure("support")
    with store.engine.begin() as connection:
        connection.execute(update(tasks).values(policy={"task": "support", "auto_train_when": 0}))

    with pytest.raises(ConfigurationError, match=r"'support'.*auto_train_when.*continuum tasks set support"):
        store.tasks.get("support")
    assert store.tasks.raw_policy("support") == {"task": "support", "auto_train_when": 0}


def test_a_task_that_is_not_there_has_no_raw_policy(store: Store) -> None:
    assert store.tasks.raw_policy("support") is None


def test_ensuring_a_task_leaves_a_registered_policy_alone(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", auto_train_when=5))

    store.tasks.ensure("support")

    assert store.tasks.get("support").policy.auto_train_when == 5


def test_an_unknown_task_is_refused_with_the_known_ones(store: Store) -> None:
    store.tasks.ensure("support")

    with pytest.raises(ConfigurationError, match=r"no task 'suport' \(known: support\)"):
        store.tasks.get("suport")


def test_the_mark_moves_once_for_each_base(store: Store) -> None:
    store.tasks.ensure("support")

    with ThreadPoolExecutor(8) as pool:
        moved = list(pool.map(lambda to: store.tasks.advance("support", base=0, to=to), range(1, 9)))

    assert moved.count(True) == 1
    assert store.tasks.get("support").trained_through == moved.index(True) + 1


def test_one_driver_at_a_time_holds_a_claim_and_a_dead_ones_ends(store: Store) -> None:
    store.tasks.ensure("support")
    hour = timedelta(hours=1)

    assert store.tasks.claim("support", "a", lasts=hour, now=lambda: NOON)
    assert not store.tasks.claim("support", "b", lasts=hour, now=lambda: NOON + timedelta(minutes=59))
    assert store.tasks.claim("support", "a", lasts=hour, now=lambda: NOON)
    assert store.tasks.claim("support", "b", lasts=hour, now=lambda: NOON + timedelta(minutes=61))
    store.tasks.release("support", "a")
    assert store.tasks.get("support").claimed_by == "b"
