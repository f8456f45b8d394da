"""A proof holds when what it rests on was erased, and for no other change of the same things."""

import json
from pathlib import Path

import pytest

from continuum.deployment.settling import Hooks
from continuum.erasing.finding import Request
from continuum.erasure import forget
from continuum.errors import ProofBroken
from continuum.provenance.proof import read_proof
from continuum.provenance.verifying import require_proof, verify_proof
from continuum.store.database import Store
from continuum.tracking.tracker import FolderTracker
from tests.builders import NOON
from tests.proven_line import ProvenLine


@pytest.fixture
def line(store: Store, tmp_path: Path) -> ProvenLine:
    """A parent that learned from i0, i1 and i2, and a candidate that learned from i0, i3, i4 and i8."""
    store.tasks.ensure("support")
    return ProvenLine(store, tmp_path)


async def forgotten(line: ProvenLine, *ids: str) -> None:
    tracker = FolderTracker(line.folder / "runs")
    hooks = Hooks(tracker=lambda: tracker, drain_s=0)
    await forget(Request(interactions=ids), store=line.store, tracker=tracker, hooks=hooks, now=lambda: NOON)


async def test_the_proof_of_a_clean_model_is_as_it_was(line: ProvenLine) -> None:
    await forgotten(line, "i3")

    found = require_proof(line.store, line.parent)

    assert found is not None
    assert found.tombstones == ()


async def test_the_proof_of_a_model_that_was_deleted_still_holds_and_names_the_tombstone(line: ProvenLine) -> None:
    await forgotten(line, "i3")

    proof = read_proof(line.candidate.uri)
    assert proof is not None
    found = verify_proof(line.store, proof)

    assert len(found.tombstones) == 1
    told = {f"{one.link.kind} {one.link.name}": one.against for one in found.links}
    assert told["dataset support_training_v2"].endswith("what was erased since is out of it")
    assert told["checkpoint support-v2"].endswith("what was erased since is out of it")
    assert told["dataset support_training_v1"].endswith("its members")


async def test_a_second_erasure_leaves_the_proof_whole_too(line: ProvenLine) -> None:
    await forgotten(line, "i3")
    await forgotten(line, "i4", "i8")

    proof = read_proof(line.candidate.uri)
    assert proof is not None

    assert len(verify_proof(line.store, proof).tombstones) == 3


async def test_whoever_alters_what_an_erasure_left_is_found_out(line: ProvenLine) -> None:
    await forgotten(line, "i3")
    proof = read_proof(line.candidate.uri)
    assert proof is not None
    manifest = Path(line.datasets[1].uri) / "manifest.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(told | {"erased": {**told["erased"], "rows": 7}}))

    with pytest.raises(ProofBroken, match=r"the file manifest\.json of support_training_v2 was altered after it was proven"):
        verify_proof(line.store, proof)


async def test_an_adapter_that_comes_back_is_not_what_was_proven(line: ProvenLine) -> None:
    await forgotten(line, "i3")
    (Path(line.candidate.uri) / "adapter_model.safetensors").write_bytes(b"other weights")

    with pytest.raises(ProofBroken, match="support-v2"):
        require_proof(line.store, line.candidate)
