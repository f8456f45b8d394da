from datetime import timedelta
from pathlib import Path

import pytest

from continuum.errors import ConfigurationError
from continuum.gathering import gather
from continuum.policy import CapturePolicy, TaskPolicy
from continuum.records import Feedback
from continuum.spool.lines import line_of
from continuum.spool.segments import Segment
from continuum.store.database import Store
from tests.builders import NOON, an_interaction


def test_a_task_is_gathered_from_every_side_and_a_second_time_changes_nothing(store: Store, home: Path) -> None:
    store.tasks.register(TaskPolicy(task="support", capture=CapturePolicy(retention_days=30)))
    old = an_interaction("an old question", id="old", started_at=NOON - timedelta(days=60))
    asked = an_interaction("where is it?", id="first", conversation_id="c", started_at=NOON)
    again = an_interaction("where is it?", id="again", conversation_id="c", started_at=NOON + timedelta(minutes=1))
    store.interactions.add([old, asked, again], now=lambda: NOON)
    store.feedback.add(Feedback(interaction_id="first", score=score, user_id=who) for who, score in (("a", 1), ("b", 5)))
    left = Segment(home / "spool")
    left.append(line_of({"id": "left", "task": "support", "messages": [{"role": "user", "content": "left in the spool"}]}))
    left.close()

    did = gather(store, "support", now=lambda: NOON + timedelta(hours=2))

    assert (did.recovered, did.deleted, did.snapshot_rows) == (1, 1, 3)
    assert did.implicit_signals > 0
    assert did.raters > 0
    assert {one.id for one in store.interactions.scan("support")} == {"first", "again", "left"}
    repeated = gather(store, "support", now=lambda: NOON + timedelta(hours=2))
    assert (repeated.recovered, repeated.deleted, repeated.snapshot_rows, repeated.implicit_signals) == (0, 0, 0, 0)


def test_a_task_that_is_not_there_is_an_error(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="no task 'nobody'"):
        gather(store, "nobody")
