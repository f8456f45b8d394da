"""Controllers that are killed for real, in the middle of whatever they are doing, on both databases."""

import multiprocessing
import random
import signal
import threading
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from continuum.deployment.controller import to_lead
from continuum.deployment.transitions import ON_TRIAL
from continuum.provenance.artifacts import write_manifest
from continuum.records import Checkpoint
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.database import Store, open_store
from tests.builders import safetensors_bytes
from tests.deployment.dying import lead_and_die

SCHEDULE = (0.05, 0.25, 0.5, 1.0)
INTERVAL = timedelta(milliseconds=50)
ROUNDS = 60
"""Pairs of controllers at most, each killed at a statement of its own."""
STATEMENTS = (8, 24, 60)
"""A controller dies before it has made so many: at once, within a step, or after some of them."""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, home: Path) -> str:
    """Where the processes meet."""
    return f"sqlite:///{home / 'continuum.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def shared(url: str) -> Iterator[Store]:
    """The store on each database, as this process sees it."""
    opened = open_store(url)
    yield opened
    opened.close()


def add(store: Store, folder: Path, version: int, **fields: object) -> DeploymentRecord:
    """A row with its checkpoint, as a deployer that died leaves it."""
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(safetensors_bytes(b"weights %d" % version))
    checkpoint = Checkpoint(
        task="support", version=version, base_model="tiny", uri=str(folder), dataset_id="d", manifest=write_manifest(folder)
    )
    store.checkpoints.add(checkpoint)
    values = {
        "task": "support",
        "checkpoint_id": checkpoint.id,
        "model": checkpoint.name,
        "stable_model": "production",
        "ramp_schedule": SCHEDULE,
        "ramp_interval_hours": INTERVAL / timedelta(hours=1),
    }
    record = DeploymentRecord.model_validate(values | fields)
    share = record.traffic
    store.deployments.add(record, DeploymentEvent(deployment_id=record.id, actor="test", action="deploy", to_traffic=share))
    return record


class Witness(threading.Thread):
    """Reads the routes all the time, as a gateway does, and notes what must never be."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.store = open_store(url)
        self.wrong: list[str] = []
        self.looks = 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.004):
            rows = self.store.deployments.serving("support")
            self.looks += 1
            states = [row.state for row in rows]
            if states.count(DeploymentState.LIVE) != 1:
                self.wrong.append(f"champions: {states}")
            if sum(state in ON_TRIAL for state in states) > 1:
                self.wrong.append(f"trials: {states}")
            self.wrong += [f"{row.traffic} of the traffic" for row in rows if row.traffic not in SCHEDULE]
        self.store.close()


@pytest.mark.slow
def test_a_ramp_whose_controllers_are_killed_at_random_points_never_goes_wrong_and_ends(
    url: str, shared: Store, tmp_path: Path
) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.deployment.dying"])
    rng = random.Random(7)
    add(shared, tmp_path / "champion", 1, id="champion", state=DeploymentState.LIVE, traffic=1.0)
    add(shared, tmp_path / "candidate", 2, id="candidate", state=DeploymentState.PENDING, stable_model="support-v1")
    witness = Witness(url)
    witness.start()
    killed = 0
    died_in: set[tuple[str, float]] = set()
    try:
        for number in range(ROUNDS):
            # The first die so early that there are enough of them; those after them get further, and die in later states.
            most = STATEMENTS[0] if number < 6 else rng.choice(STATEMENTS)
            pair = [processes.Process(target=lead_and_die, args=(url, rng.randint(1, most))) for _ in range(2)]
            for process in pair:
                process.start()
            for process in pair:
                process.join(60)
            killed += sum(process.exitcode == -signal.SIGKILL for process in pair)
            left = [record for record in to_lead(shared) if record.id == "candidate"]
            if not left:
                break
            died_in.add((left[0].state, left[0].traffic))
        last = processes.Process(target=lead_and_die, args=(url, None))
        last.start()
        last.join(60)
        assert last.exitcode == 0, "whatever the dead have left, the next goes on from it"
    finally:
        witness.over.set()
        witness.join()

    assert killed >= 12
    assert len(died_in) >= 2, died_in
    assert witness.looks > 50
    assert witness.wrong == []
    candidate, champion = shared.deployments.get("candidate"), shared.deployments.get("champion")
    assert candidate is not None
    assert champion is not None
    assert (candidate.state, candidate.traffic) == (DeploymentState.ROLLED_BACK, 0.0)
    assert (champion.state, champion.traffic) == (DeploymentState.LIVE, 1.0)
    events = shared.deployments.events("candidate")
    assert [event.action for event in events] == [
        "deploy", "warm", "begin", "promote", "promote", "promote", "live", "rollback", "done",
    ]  # fmt: skip
    steps = [event for event in events if event.to_traffic > event.from_traffic]
    assert tuple(event.to_traffic for event in steps) == SCHEDULE
    assert all(later.at - earlier.at >= INTERVAL for earlier, later in pairwise(steps))
    assert [event.sequence for event in events] == list(range(len(events)))
