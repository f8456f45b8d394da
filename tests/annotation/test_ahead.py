"""Whether a judge would be asked now, before anybody asks one."""

from typing import Any

import pytest

from continuum.annotation.ahead import is_anything_to_ask
from continuum.annotation.backfill import opinion_of
from continuum.errors import ConfigurationError
from continuum.policy import JudgePolicy, SecondJudge, TaskPolicy
from continuum.records import Annotation
from continuum.store.database import Store
from tests.builders import NOON, interactions


def a_policy(store: Store, **judge: Any) -> TaskPolicy:
    values = {"model": "stub", "base_url": "http://127.0.0.1:9/v1", "anchors": 0} | judge
    policy = TaskPolicy(task="support", judge=JudgePolicy(**values))
    store.tasks.register(policy)
    return policy


def judged(store: Store, policy: TaskPolicy, ids: list[str], judge: str | None = None) -> None:
    opinion = opinion_of(policy)
    fields = {"task": "support", "judge": judge or opinion.judge, "rubric": opinion.rubric, "overall": 4.0, "created_at": NOON}
    store.annotations.add([Annotation(interaction_id=one, **fields) for one in ids])


def test_there_is_something_to_ask_until_the_last_answer_is_judged(store: Store) -> None:
    policy, rows = a_policy(store), interactions(3)
    assert not is_anything_to_ask(store, policy)
    store.interactions.add(rows)
    assert is_anything_to_ask(store, policy)
    judged(store, policy, [row.id for row in rows[:2]])
    assert is_anything_to_ask(store, policy)
    judged(store, policy, [rows[2].id])
    assert not is_anything_to_ask(store, policy)


def test_a_second_judge_has_a_sample_of_its_own(store: Store) -> None:
    policy = a_policy(store, second=SecondJudge(model="other", sample_rate=1.0))
    rows = interactions(2)
    store.interactions.add(rows)
    judged(store, policy, [row.id for row in rows])
    assert is_anything_to_ask(store, policy)
    judged(store, policy, [row.id for row in rows], judge="other")
    assert not is_anything_to_ask(store, policy)


def test_a_task_without_a_judge_has_nobody_to_ask(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="has no judge"):
        is_anything_to_ask(store, TaskPolicy(task="support"))
