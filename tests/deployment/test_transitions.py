"""Whatever is done to a task's deployments, and in whatever order: what must never be, never is."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from continuum.deployment.controller import lead
from continuum.deployment.deployer import ModelDeployer
from continuum.deployment.handle import Deployment
from continuum.deployment.settling import Hooks
from continuum.deployment.transitions import ON_TRIAL
from continuum.errors import DeploymentError
from continuum.provenance.artifacts import write_manifest
from continuum.records import Checkpoint
from continuum.serving_policy import DeploymentPolicy
from continuum.serving_records import DeploymentRecord
from continuum.serving_records import DeploymentState as State
from continuum.store.database import Store
from continuum.tracking.tracker import FolderTracker
from tests.builders import safetensors_bytes
from tests.deployment.leading import Clock, Shelf, Told

SCHEDULE = (0.05, 0.25, 0.5, 1.0)
LEGAL = {
    State.PENDING: {State.WARMING, State.SUPERSEDED, State.ROLLING_BACK},
    State.WARMING: {State.CANARY, State.PROMOTING, State.SUPERSEDED, State.ROLLING_BACK},
    State.CANARY: {State.PAUSED, State.PROMOTING, State.LIVE, State.SUPERSEDED, State.ROLLING_BACK},
    State.PAUSED: {State.CANARY, State.PROMOTING, State.LIVE, State.SUPERSEDED, State.ROLLING_BACK},
    State.PROMOTING: {State.PAUSED, State.LIVE, State.SUPERSEDED, State.ROLLING_BACK},
    State.LIVE: {State.SUPERSEDED, State.ROLLING_BACK},
    State.SUPERSEDED: {State.LIVE},
    State.ROLLING_BACK: {State.ROLLED_BACK, State.ABORTED},
    State.ROLLED_BACK: set(),
    State.ABORTED: set(),
}
"""What may become of a state, directly; a call or a tick may make several changes one after the other."""

deeds = st.one_of(
    st.tuples(st.just("deploy"), st.sampled_from(["canary", "blue_green", "shadow"]), st.sampled_from([0.05, 0.25, 1.0])),
    st.tuples(st.just("lead"), st.sampled_from(["promote", "hold", "rollback", "alarm"]), st.sampled_from([0.0, 1.0, 2.0, 30.0])),
    st.tuples(st.sampled_from(["promote", "pause", "resume", "abort", "rollback"]), st.sampled_from(["", "why"]), st.just(0)),
)
tasks = count()


class Play:
    """One task, on which things are done one after the other."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.task = f"task-{next(tasks)}"
        self.folder = folder / self.task
        self.clock = Clock()
        self.shelf = Shelf()
        self.hooks = Hooks(tracker=lambda: FolderTracker(folder / "tracker"), drain_s=0)
        self.versions = 0

    def checkpoint(self) -> Checkpoint:
        self.versions += 1
        folder = self.folder / str(self.versions)
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_bytes(safetensors_bytes(b"weights"))
        found = Checkpoint(
            task=self.task,
            version=self.versions,
            base_model="tiny",
            uri=str(folder),
            dataset_id="d",
            manifest=write_manifest(folder),
            mlflow_version=str(self.versions),
        )
        self.store.checkpoints.add(found)
        return found

    async def do(self, deed: tuple[str, Any, Any]) -> None:
        self.clock.pass_hours(0.01)
        what, how, number = deed
        opened: dict[str, Any] = {"hooks": self.hooks, "now": self.clock, "backend": lambda record: self.shelf}
        if what == "deploy":
            deployer = ModelDeployer(store=self.store, policy=DeploymentPolicy(ramp_schedule=SCHEDULE), **opened)
            await deployer.deploy(self.checkpoint(), how, number, unguarded=True)
        elif what == "lead":
            self.clock.pass_hours(number)
            ticks = await lead(self.store, self.task, look=Told(how), **opened)
            assert all(one.did != "failed" for one in ticks), ticks
        elif rows := self.store.deployments.serving(self.task):
            handle = Deployment(rows[0], store=self.store, **opened)
            with suppress(DeploymentError):
                await getattr(handle, what)(reason=how)

    def check(self) -> None:
        rows = self.store.deployments.of(self.task)
        states = [row.state for row in rows]
        assert states.count(State.LIVE) <= 1
        assert sum(state in ON_TRIAL for state in states) <= 1
        for row in rows:
            assert row.traffic in (0.0, *SCHEDULE)
            assert (row.traffic > 0 or row.shadow > 0) <= (row.state in (*ON_TRIAL, State.LIVE))
            assert (row.state in (State.LIVE, State.PROMOTING)) <= (row.traffic == 1.0)
            self.check_steps(row)
        live = next((row for row in rows if row.state is State.LIVE), None)
        served = sorted({row.model for row in rows if row.state in (*ON_TRIAL, State.LIVE)})
        assert set(served) <= set(self.shelf.loaded)
        if live is not None:
            assert FolderTracker(self.folder.parent / "tracker").aliases(self.task)["champion"] == live.model.rsplit("v", 1)[1]

    def check_steps(self, row: DeploymentRecord) -> None:
        events = self.store.deployments.events(row.id)
        steps = [event for event in events if event.action in ("begin", "promote")]
        for before, after in pairwise(steps):
            assert after.to_traffic == next(share for share in row.ramp_schedule if share > before.to_traffic)
            hours = (after.at - before.at).total_seconds() / 3600
            assert hours >= 2 or after.reason == "why", "a step before its time needs somebody's reason"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(done=st.lists(deeds, min_size=3, max_size=14))
@example(done=[("deploy", "canary", 1.0), ("deploy", "canary", 1.0), ("rollback", "", 0), ("rollback", "", 0)])
@example(
    done=[("deploy", "shadow", 0.05), *[("lead", "promote", 2.0)] * 5, ("deploy", "blue_green", 1.0), ("lead", "rollback", 0)]
)
@pytest.mark.slow
def test_one_champion_one_trial_and_no_step_but_the_next(
    store: Store, tmp_path_factory: pytest.TempPathFactory, done: Sequence[tuple[str, Any, Any]]
) -> None:
    play = Play(store, tmp_path_factory.mktemp("play"))
    changes = _spied(store)

    async def all_of_it() -> None:
        for deed in done:
            await play.do(deed)
            play.check()

    asyncio.run(all_of_it())
    assert all(after in LEGAL[before] for before, after in changes if before is not after)


def _spied(store: Store) -> list[tuple[State, State]]:
    """The changes of state that are written from now on."""
    seen: list[tuple[State, State]] = []
    written: Callable[..., Any] = type(store.deployments).change_all

    def noting(changes: Sequence[Any]) -> Any:
        made = written(store.deployments, changes)
        if made is not None:
            seen.extend((change.seen.state, row.state) for change, row in zip(changes, made, strict=True))
        return made

    store.deployments.change_all = noting
    return seen
