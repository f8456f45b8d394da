from datetime import timedelta

import pytest

from continuum.errors import ConfigurationError
from continuum.records import Feedback
from continuum.signals.summary import summarise
from continuum.store.database import Store
from tests.builders import NOON, an_interaction, interactions


def test_traffic_is_summed_up_with_what_people_said_of_it(store: Store) -> None:
    batch = interactions(6)
    canary = an_interaction(model="v1", deployment_id="d", variant="canary", started_at=NOON + timedelta(hours=2))
    failed = an_interaction(status="error", response=None, model=None)
    store.tasks.ensure("support")
    store.interactions.add([*batch, canary, failed, an_interaction(task="other")])
    store.feedback.add(
        [
            Feedback(interaction_id=batch[0].id, score=5),
            Feedback(interaction_id=batch[1].id, score=1),
            Feedback(interaction_id=batch[2].id, score=3),
            Feedback(interaction_id=batch[3].id, score=5, recorded_at=NOON),
            Feedback(interaction_id=batch[3].id, score=2, recorded_at=NOON + timedelta(days=1)),
            Feedback(interaction_id=batch[4].id, kind="implicit", score=1),
            Feedback(interaction_id=batch[5].id, label="good"),
        ]
    )
    store.tasks.advance("support", base=0, to=5)

    found = summarise(store, "support")

    assert (found.total, found.by_status) == (8, {"ok": 7, "error": 1})
    assert found.by_model == {"gpt-4": 6, "(none)": 1, "v1": 1}
    assert next(iter(found.by_model)) == "gpt-4"
    assert (found.by_variant, found.by_source) == ({"canary": 1}, {"capture": 8})
    assert (found.good, found.bad, found.mixed, found.rated) == (1, 2, 1, 4)
    assert (found.first_at, found.last_at) == (NOON, NOON + timedelta(hours=2))
    assert found.new == 3


def test_a_task_without_traffic_sums_up_to_nothing(store: Store) -> None:
    store.tasks.ensure("support")

    found = summarise(store, "support")

    assert (found.total, found.rated, found.new, found.first_at, found.by_model) == (0, 0, 0, None, {})


def test_a_task_that_nobody_knows_is_an_error(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="there is no task 'support'"):
        summarise(store, "support")
