"""A proof holds when questions of its golden dataset are erased, and for no other change of that set."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from continuum.errors import ProofBroken
from continuum.provenance.artifact_links import kept_uri
from continuum.provenance.proving import prove
from continuum.provenance.verifying import Verified, require_proof
from continuum.records import DatasetRecord, Interaction, Verdict, VerdictStatus
from continuum.splits.golden import GoldenDataset
from continuum.splits.golden_erasure import erase_from_golden, take_out
from continuum.splits.golden_files import read_version, write_golden, write_left
from continuum.splits.golden_items import GoldenItem, described, fingerprint_of
from continuum.store.database import Store
from continuum.store.learning import DatasetItem
from continuum.store.retention import erase
from tests.builders import NOON, interactions
from tests.proven_line import ProvenLine


def a_version(store: Store, folder: Path, rows: Sequence[Interaction]) -> DatasetRecord:
    """A stored version that asks what these interactions asked."""
    fields = [{"interaction_id": one.id, "messages": one.messages, "production": one.response, "group": one.id} for one in rows]
    items = sorted((GoldenItem.model_validate(one) for one in fields), key=lambda item: item.interaction_id)
    name, fingerprint = folder.name, fingerprint_of("support", items)
    identity = {"name": name, "task": "support", "version": 2, "kind": "golden", "fingerprint": fingerprint, "format": 2}
    manifest = described(items) | identity
    folder.mkdir()
    write_golden(folder, items, manifest)
    record = DatasetRecord(
        id=fingerprint, task="support", kind="golden", name=name, version=2, uri=str(folder), manifest=manifest, created_at=NOON
    )
    return store.datasets.add(record, [DatasetItem(interaction_id=item.interaction_id, split="golden") for item in items])


class Measured:
    """A verdict that rests on a golden dataset with real files: a version of the store, or a part of one that the proof keeps."""

    def __init__(self, store: Store, folder: Path, *, part: bool) -> None:
        self.line = ProvenLine(store, folder)
        rows = interactions(40)[20:]
        store.interactions.add(rows)
        golden = GoldenDataset.of(a_version(store, folder / "support_golden_v2", rows), store)
        self.golden = golden.split()[1] if part else golden
        self.verdict = Verdict(
            id="verdict-9",
            task="support",
            checkpoint_id=self.line.candidate.id,
            baseline=self.line.parent.id,
            golden_id=self.golden.fingerprint,
            status=VerdictStatus.APPROVED,
            approved=True,
            created_at=NOON + timedelta(days=1),
        )
        store.verdicts.add(self.verdict)
        prove(store, self.verdict, golden=self.golden, now=lambda: NOON)
        self.folder = Path(kept_uri("support", self.golden.fingerprint)) if part else folder / "support_golden_v2"

    def verified(self) -> Verified:
        """What holds of the newest proof of the candidate."""
        found = require_proof(self.line.store, self.line.candidate)
        assert found is not None
        return found


@pytest.fixture(params=[False, True], ids=["version", "kept part"])
def measured(request: pytest.FixtureRequest, store: Store, tmp_path: Path) -> Measured:
    return Measured(store, tmp_path / "line", part=request.param)


def against(found: Verified, name: str) -> str:
    return next(one.against for one in found.links if (one.link.kind, one.link.name) == ("golden dataset", name))


def test_the_proof_holds_after_one_erasure_and_after_another(measured: Measured) -> None:
    golden, store = measured.golden, measured.line.store
    words = golden.items[0].prompt
    assert "erased" not in against(measured.verified(), golden.name)
    for count, item in enumerate(golden.items[:2], start=1):
        erase(store, [item.interaction_id])
        assert erase_from_golden(store, "support") >= 1

        found = measured.verified()

        assert len(found.tombstones) == count
        assert f"{count} of its questions were erased" in against(found, golden.name)
    assert words not in {item.prompt for item in read_version(measured.folder).items}


def test_a_question_that_is_still_in_the_store_was_not_erased(measured: Measured) -> None:
    take_out(measured.folder, {measured.golden.items[0].interaction_id})

    with pytest.raises(ProofBroken, match=f"golden dataset {measured.golden.name}: the file golden.parquet of .* is missing"):
        measured.verified()


def test_an_erasure_is_no_cover_for_another_answer(measured: Measured) -> None:
    first, second, *others = measured.golden.items
    erase(measured.line.store, [first.interaction_id])
    manifest = read_version(measured.folder).manifest
    altered = second.model_copy(update={"reference": second.production})
    write_left(measured.folder, [altered, *others], manifest, [first.interaction_id])

    with pytest.raises(ProofBroken, match=f"golden dataset {measured.golden.name}: "):
        measured.verified()


def test_nor_for_a_manifest_with_other_hashes(measured: Measured) -> None:
    first, second, *others = measured.golden.items
    erase(measured.line.store, [first.interaction_id])
    manifest = read_version(measured.folder).manifest
    altered = second.model_copy(update={"reference": second.production})
    hashes = [manifest["item_hashes"][0], *described([altered, *others])["item_hashes"]]
    write_left(measured.folder, [altered, *others], {**manifest, "item_hashes": hashes}, [first.interaction_id])

    with pytest.raises(ProofBroken, match=f"golden dataset {measured.golden.name}: "):
        measured.verified()
