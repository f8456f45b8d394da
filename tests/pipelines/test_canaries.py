"""What a deployment shows of its trial, from real calls that a real watch has looked at."""

from typing import Any

import dagster as dg
import pytest

from continuum.deployment.routing import RouteTable
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.database import Store
from continuum_pipelines.canaries import figures_of, metadata_of, route_table
from continuum_pipelines.deployments import evaluation_of
from continuum_pipelines.plots import MARKDOWN_SHOWN_INLINE
from tests.deployment.live import GOOD, LATER, a_deployment, a_policy, both, mixed, seen


def rows_of(table: dg.TableMetadataValue) -> list[dict[str, Any]]:
    return [dict(record.data) for record in table.value.records]


@pytest.fixture
async def trial(store: Store) -> DeploymentRecord:
    """Half of the traffic for an hour, judged and written down."""
    store.tasks.register(a_policy())
    record = a_deployment(store, shares=(0.5,))
    found = await seen(store, record, both(record, mixed(120, 0.05), mixed(120, 0.05)))
    current = store.deployments.get(record.id)
    assert current is not None
    fields = {"deployment_id": record.id, "at": LATER, "actor": "test", "from_traffic": 0.5, "to_traffic": 0.5}
    event = DeploymentEvent(**fields, action="hold", reason="a person | looks <b>", evidence=dict(found.evidence))
    changed = store.deployments.change(current, event)
    assert changed is not None
    return changed


async def test_a_trial_shows_its_sequence_its_split_and_its_route(store: Store, trial: DeploymentRecord) -> None:
    shown = metadata_of(store, "support")

    for name in ("quality", "split"):
        assert len(shown[name].value) < MARKDOWN_SHOWN_INLINE
    assert rows_of(shown["route"]) == [
        {"model": "support-v1", "state": "canary", "traffic": "50%", "alarm": "-"},
        {"model": "production", "state": "-", "traffic": "50%", "alarm": "-"},
    ]
    assert rows_of(shown["steps"])[-1] | {"since (UTC)": ""} == {
        "since (UTC)": "",
        "configured": "50%",
        "served": "50.0%",
        "conversations": 240,
        "its own": 120,
    }
    last = rows_of(shown["looks"])[-1]
    assert (last["conversations"], last["its own"]) == (240, 120)
    assert last["at least"] <= last["difference"] <= last["at most"]
    assert rows_of(shown["events"])[-1]["reason"] == "a person | looks <b>"


LIVE, CANARY, PROMOTING = DeploymentState.LIVE, DeploymentState.CANARY, DeploymentState.PROMOTING


@pytest.mark.parametrize(
    ("states", "shares"),
    [
        ([(CANARY, 0.1), (LIVE, 1.0)], ["10%", "90%"]),
        ([(CANARY, 0.1)], ["10%", "90%"]),
        ([(PROMOTING, 1.0), (LIVE, 1.0)], ["100%", "0%"]),
        ([(PROMOTING, 1.0)], ["100%"]),
        ([(LIVE, 1.0)], ["100%"]),
        ([(LIVE, 1.0), (LIVE, 1.0)], ["100%", "0%"]),
    ],
)
def test_the_shares_of_a_route_are_those_that_the_gateway_gives_and_add_up(
    states: list[tuple[DeploymentState, float]], shares: list[str]
) -> None:
    fields = {"task": "support", "checkpoint_id": "c", "stable_model": "production", "backend_url": "http://127.0.0.1:1"}
    route = [DeploymentRecord(model=f"v{n}", state=state, traffic=traffic, **fields) for n, (state, traffic) in enumerate(states)]
    table = route_table(route)
    assert table is not None
    assert [row["traffic"] for row in rows_of(table)] == shares
    assert sum(int(share.rstrip("%")) for share in shares) == 100
    chosen = RouteTable.of(route).route("support")
    answering = {chosen.choose(f"conversation:{n}").arms[0].model for n in range(200)}
    assert answering == {row["model"] for row in rows_of(table) if row["traffic"] != "0%"}


async def test_what_happens_between_two_turns_shows_in_the_check_as_numbers(store: Store, trial: DeploymentRecord) -> None:
    shown = evaluation_of(store, "support").metadata

    assert shown["traffic"].value == 0.5
    assert shown["at_least"].value <= shown["difference"].value <= shown["at_most"].value
    looks, steps = shown["looks"], shown["steps"]
    assert isinstance(looks, dg.TableMetadataValue)
    assert isinstance(steps, dg.TableMetadataValue)
    assert rows_of(looks)[-1]["its own"] == rows_of(steps)[-1]["its own"] == 120
    assert rows_of(shown["route"])[0] == {"model": "support-v1", "state": "canary", "traffic": "50%", "alarm": "-"}
    # Beside a check the UI hides Markdown, however short.
    assert not any(isinstance(value, dg.MarkdownMetadataValue) for value in shown.values())


def test_a_young_trial_shows_its_split_alone(store: Store) -> None:
    store.tasks.register(a_policy())
    record = a_deployment(store)
    store.interactions.add(both(record, [GOOD] * 3, [GOOD] * 3))
    assert figures_of(store, "support").keys() == {"route", "traffic", "steps"}
    assert metadata_of(store, "support")["quality"] is None
    assert metadata_of(store, "support")["split"] is not None


def test_a_task_that_deployed_nothing_shows_nothing(store: Store) -> None:
    store.tasks.register(a_policy())
    assert metadata_of(store, "support") == {"route": None}
    assert figures_of(store, "support") == {}
    assert figures_of(store, "nobody") == {}
