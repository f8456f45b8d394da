from pathlib import Path

import pytest

from continuum.deployment import transitions
from continuum.deployment.gateway.following import Following
from continuum.deployment.gateway.last_known import read_known, write_known
from continuum.deployment.transitions import Cause
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.database import Store
from continuum.timespan import utc_now
from tests.deployment.asking import deploy_row


class Away:
    """A store that does not answer."""

    @property
    def deployments(self) -> object:
        raise ConnectionError("no store")


def away() -> Store:
    return Away()  # type: ignore[return-value]


def a_champion(store: Store) -> DeploymentRecord:
    record = DeploymentRecord(
        task="support",
        checkpoint_id="c",
        model="support-v0",
        stable_model="production",
        backend_url="http://t/v1",
        state=DeploymentState.LIVE,
        traffic=1.0,
    )
    store.deployments.add(record, DeploymentEvent(deployment_id=record.id, actor="test", action="deploy"))
    return record


def test_the_routes_are_read_again_only_when_a_deployment_has_changed(store: Store, tmp_path: Path) -> None:
    following = Following(store, tmp_path)
    assert following.read() is True
    assert following.read() is False
    deployment = deploy_row(store, "http://t/v1", 0.25)
    assert following.read() is True
    assert following.routes.route("support").traffic == 0.25
    assert following.read() is False
    transitions.take_over(store, deployment.record, Cause("test", "", {}, utc_now()))
    assert following.read() is True


def test_a_start_without_the_store_gives_a_candidate_nothing_and_the_champion_all(store: Store, tmp_path: Path) -> None:
    a_champion(store)
    deploy_row(store, "http://t/v1", 1.0)
    assert Following(store, tmp_path).read()
    started = Following(away(), tmp_path)
    started.read()
    assert started.known
    assert [arm.model for arm in started.routes.route("support").choose("user:1").arms] == ["support-v0", "production"]


def test_a_worker_in_the_place_of_another_splits_as_that_one_did(store: Store, tmp_path: Path) -> None:
    deploy_row(store, "http://t/v1", 0.25)
    before = Following(store, tmp_path)
    before.read()
    after = Following(away(), tmp_path, trusts_file=True)
    after.read()
    assert after.routes.routes == before.routes.routes


def test_a_store_that_goes_away_leaves_the_split_as_it_is(store: Store, tmp_path: Path) -> None:
    deploy_row(store, "http://t/v1", 0.25)
    following = Following(store, tmp_path)
    following.read()
    following._store = away()
    assert following.read() is False
    assert following.store_error == "ConnectionError"
    assert following.routes.route("support").traffic == 0.25


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"\xff\xfe", b'{"known": "{}", "sha256": "0"}', b'{"known": 1, "sha256": 2}']
)
def test_routes_that_are_damaged_on_disk_leave_everybody_to_production(store: Store, tmp_path: Path, damage: bytes) -> None:
    a_champion(store)
    Following(store, tmp_path).read()
    (tmp_path / "routes.json").write_bytes(damage)
    started = Following(away(), tmp_path, trusts_file=True)
    started.read()
    assert [arm.model for arm in started.routes.route("support").choose("user:1").arms] == ["production"]


def test_a_share_that_was_altered_on_disk_is_not_believed(store: Store, tmp_path: Path) -> None:
    deploy_row(store, "http://t/v1", 0.25)
    Following(store, tmp_path).read()
    file = tmp_path / "routes.json"
    file.write_text(file.read_text().replace("0.25", "0.99"))
    started = Following(away(), tmp_path, trusts_file=True)
    started.read()
    assert started.routes.routes == {}


def test_what_is_known_lies_on_disk_for_one_pair_of_eyes(tmp_path: Path) -> None:
    known = DeploymentEvent(deployment_id="d", actor="a", action="b")
    write_known(tmp_path / "new" / "file.json", known)
    assert read_known(tmp_path / "new" / "file.json", DeploymentEvent) == known
    assert (tmp_path / "new" / "file.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file.json"]
    assert read_known(tmp_path / "none.json", DeploymentEvent) is None


def test_a_start_while_the_store_hangs_begins_with_the_last_known(store: Store, tmp_path: Path) -> None:
    a_champion(store)
    assert Following(store, tmp_path).read()
    started = Following(away(), tmp_path)

    started.unanswered()

    assert (started.known, started.store_error) == (True, "no answer")
    assert [arm.model for arm in started.routes.route("support").choose("user:1").arms] == ["support-v0", "production"]
