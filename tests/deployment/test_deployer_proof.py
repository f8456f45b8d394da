"""The deployer lets nothing serve whose proof is missing, broken, or of another verdict."""

import sqlite3
from pathlib import Path

import pytest

from continuum.deployment.deployer import ModelDeployer
from continuum.errors import DeploymentError
from continuum.provenance.signing import new_key
from continuum.serving_records import DeploymentState
from continuum.store.database import Store
from continuum.store.retention import erase
from tests.deployment.conftest import MakeCheckpoint, a_verdict
from tests.proven_line import ProvenLine

NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture
def deployer(store: Store) -> ModelDeployer:
    return ModelDeployer(store=store, backend_url=NOWHERE)


@pytest.fixture
def line(store: Store, tmp_path: Path) -> ProvenLine:
    return ProvenLine(store, tmp_path / "line")


async def test_what_is_proven_serves_and_the_deployment_says_by_which_proof(
    deployer: ModelDeployer, store: Store, line: ProvenLine
) -> None:
    deployment = await deployer.deploy(line.candidate)

    assert deployment.state is DeploymentState.CANARY
    event = store.deployments.events(deployment.id)[0]
    proof = event.evidence["proof"]
    assert (proof["verdict_id"], proof["links"], proof["tombstones"], proof["signed_by"]) == ("verdict-2", 10, 0, None)
    assert proof["head"] in line.proof_file.read_text()


async def test_what_was_altered_upstream_is_refused_by_name(deployer: ModelDeployer, store: Store, line: ProvenLine) -> None:
    path = line.folder / "support_training_v1" / "examples.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DeploymentError, match=r"support-v2 may not serve.*dataset support_training_v1: .*examples.parquet"):
        await deployer.deploy(line.candidate)
    assert store.deployments.of("support") == []


async def test_a_model_guarded_before_there_were_proofs_is_to_be_guarded_again(deployer: ModelDeployer, line: ProvenLine) -> None:
    line.proof_file.unlink()
    with pytest.raises(DeploymentError, match=r"has no proof .*; run `continuum guard --candidate support-v2` again"):
        await deployer.deploy(line.candidate)


async def test_a_newer_verdict_than_the_proven_one_is_not_served_on(
    deployer: ModelDeployer, store: Store, a_checkpoint: MakeCheckpoint
) -> None:
    checkpoint = a_checkpoint()
    newer = a_verdict(checkpoint)
    store.verdicts.add(newer)
    with pytest.raises(DeploymentError, match=f"its newest verdict is {newer.id}, and the proof .* is of verdict"):
        await deployer.deploy(checkpoint)


async def test_unguarded_asks_for_no_proof_and_says_so(deployer: ModelDeployer, store: Store, line: ProvenLine) -> None:
    line.proof_file.write_text("nonsense")
    deployment = await deployer.deploy(line.candidate, unguarded=True)
    event = store.deployments.events(deployment.id)[0]
    assert event.evidence["proof"] == "not checked: deployed unguarded"


async def test_a_row_that_cannot_be_read_any_more_is_a_refusal_and_no_crash(
    deployer: ModelDeployer, line: ProvenLine, home: Path
) -> None:
    with sqlite3.connect(home / "continuum.db") as connection:
        connection.execute("UPDATE verdicts SET created_at = 'x' WHERE id = 'verdict-2'")
    connection.close()
    with pytest.raises(DeploymentError, match="row of verdict verdict-2 was altered"):
        await deployer.deploy(line.candidate)
    with pytest.raises(DeploymentError, match="the verdict on support-v2 cannot be read"):
        await deployer.deploy(line.candidate, unguarded=True)
    with sqlite3.connect(home / "continuum.db") as connection:
        connection.execute("UPDATE checkpoints SET config = '{' WHERE id = 'c2'")
    connection.close()
    with pytest.raises(DeploymentError, match=r"checkpoint c2 \(support-v2\) cannot be read"):
        await deployer.deploy(line.candidate)


async def test_what_learned_from_a_row_that_was_erased_since_still_serves(deployer: ModelDeployer, line: ProvenLine) -> None:
    erase(line.store, ["i0"])
    deployment = await deployer.deploy(line.candidate)
    event = line.store.deployments.events(deployment.id)[0]
    assert event.evidence["proof"]["tombstones"] == 2


async def test_where_keys_are_trusted_an_unsigned_proof_is_refused(
    deployer: ModelDeployer, line: ProvenLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "signing.pem"
    monkeypatch.setenv("CONTINUUM_TRUSTED_KEYS", new_key(key))
    with pytest.raises(DeploymentError, match="it is not signed, and CONTINUUM_TRUSTED_KEYS asks for it"):
        await deployer.deploy(line.candidate)
    monkeypatch.setenv("CONTINUUM_SIGNING_KEY", str(key))
    line.judged("verdict-3")
    assert (await deployer.deploy(line.candidate)).state is DeploymentState.CANARY
