"""A call that passes the decorator and the gateway reaches the store twice, in either order, and is one row."""

from itertools import permutations

import pytest

from continuum.records import Interaction
from continuum.store.database import Store
from tests.builders import NOON, an_interaction, assistant, user

CAPTURED = an_interaction(
    id="both",
    messages=(user("Where is it?"), assistant("One moment."), user("Well?")),
    response=assistant("On Monday."),
    source="capture",
    model="gpt-4-0613",
    input_tokens=200,
    tags={"channel": "web"},
    latency_ms=90.0,
    started_at=NOON,
)
SERVED = an_interaction(
    id="both",
    messages=(user("Where is it?"),),
    response=assistant("One moment."),
    source="gateway",
    model="support-v1",
    deployment_id="d1",
    variant="canary",
    input_tokens=100,
    output_tokens=10,
    cost_usd=0.25,
    provider_response_id="chatcmpl-1",
    latency_ms=40.0,
    started_at=NOON,
)


@pytest.mark.parametrize("order", [[[CAPTURED], [SERVED]], [[SERVED], [CAPTURED]], [[SERVED, CAPTURED]], [[CAPTURED, SERVED]]])
def test_what_the_decorator_saw_stands_and_what_the_gateway_knows_is_filled_in(
    store: Store, order: list[list[Interaction]]
) -> None:
    new = sum(store.interactions.add(batch) for batch in order)

    found = store.interactions.get("both")
    assert new == 1
    assert found == CAPTURED.model_copy(
        update={
            "deployment_id": "d1",
            "variant": "canary",
            "output_tokens": 10,
            "cost_usd": 0.25,
            "provider_response_id": "chatcmpl-1",
        }
    )


def test_the_row_is_the_same_however_often_and_in_whatever_order_it_comes(store: Store) -> None:
    results = []
    for number, order in enumerate(permutations([CAPTURED, SERVED, CAPTURED, SERVED])):
        for one in order:
            store.interactions.add(
                [one.model_copy(update={"id": f"both-{number}", "provider_response_id": f"chatcmpl-{number}"})]
            )
        found = store.interactions.get(f"both-{number}")
        assert found is not None
        results.append(found.model_copy(update={"id": "both", "provider_response_id": None}))

    assert all(result == results[0] for result in results)


def test_an_import_changes_nothing_of_what_is_there(store: Store) -> None:
    store.interactions.add([CAPTURED])

    assert store.interactions.add([SERVED.model_copy(update={"source": "import"})]) == 0
    assert store.interactions.get("both") == CAPTURED


def test_a_failed_call_stays_failed_and_keeps_who_served_it(store: Store) -> None:
    failed = CAPTURED.model_copy(update={"status": "error", "error": "ValueError: no", "response": None})
    store.interactions.add([SERVED])
    store.interactions.add([failed])

    found = store.interactions.get("both")
    assert found is not None
    assert (found.status, found.error, found.response, found.deployment_id) == ("error", "ValueError: no", None, "d1")


@pytest.mark.parametrize("door", ["gateway", "capture"])
def test_a_call_for_one_task_changes_nothing_of_another_by_naming_its_id(store: Store, door: str) -> None:
    store.interactions.add([CAPTURED])
    told = store.drain(
        [SERVED.model_copy(update={"task": "other", "source": door, "conversation_id": "stolen", "user_id": "stolen"})],
        [],
        segment=None,
        seen=0,
        offset=0,
    )

    assert store.interactions.get("both") == CAPTURED
    assert told is not None
    assert told.refused == ("both",)
