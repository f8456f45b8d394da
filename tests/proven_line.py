"""A line of two models with everything behind it, small and real: rows, opinions, files, verdicts and their proofs."""

import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from continuum.dataset import Dataset
from continuum.dataset_rows import FORMAT, RatedAnswer, fingerprint_of
from continuum.provenance.artifacts import write_manifest
from continuum.provenance.proving import prove
from continuum.records import Annotation, Checkpoint, DatasetRecord, Feedback, Verdict, VerdictStatus
from continuum.store.database import Store
from continuum.store.learning import DatasetItem
from tests.builders import NOON, an_example, assistant, interactions, safetensors_bytes, user


class ProvenLine:
    """`support-v2`, continued from `support-v1` and compared with it: `members` are rows of the datasets, `questions` golden."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder
        ids = [{"id": f"i{n}", "provider_response_id": f"chat-{n}"} for n in range(9)]
        store.interactions.add(one.model_copy(update=named) for one, named in zip(interactions(9), ids, strict=True))
        store.feedback.add([Feedback(id=f"f{n}", interaction_id=f"i{n}", score=5, recorded_at=NOON) for n in range(5)])
        store.feedback.add([Feedback(id="f-late", interaction_id="chat-0", comment="Thank you.", recorded_at=NOON)])
        store.annotations.add(
            [
                Annotation(id=f"a{n}", interaction_id=f"i{n}", task="support", judge="j", rubric="r", scores={"tone": 4.0})
                for n in range(8)
            ]
        )
        self.base = folder / "base"
        self.base.mkdir(parents=True)
        (self.base / "config.json").write_text('{"hidden": 8}')
        (self.base / "model.safetensors").write_bytes(safetensors_bytes(b"base weights"))
        self.datasets = [self._dataset(1, ("i0", "i1", "i2")), self._dataset(2, ("i0", "i3", "i4"))]
        self.golden = self._golden(("i5", "i6", "i7"))
        self.parent = self._checkpoint(1, None)
        self.first_verdict = self._verdict("verdict-1", self.parent, "production")
        prove(store, self.first_verdict, now=lambda: NOON)
        self.candidate = self._checkpoint(2, self.parent)
        self.verdict = self.judged("verdict-2")

    def judged(self, name: str, **fields: Any) -> Verdict:
        """A verdict on the candidate, stored and proven."""
        verdict = self._verdict(name, self.candidate, self.parent.id, **fields)
        prove(self.store, verdict, now=lambda: NOON)
        return verdict

    @property
    def proof_file(self) -> Path:
        """The newest proof of the candidate."""
        return Path(self.candidate.uri) / "proof.json"

    def _dataset(self, version: int, members: tuple[str, ...]) -> DatasetRecord:
        return add_dataset(self.store, self.folder, version, members, taught=("i8",) if version == 2 else ())

    def _golden(self, members: tuple[str, ...]) -> DatasetRecord:
        return add_golden(self.store, self.folder, members)

    def _checkpoint(self, version: int, parent: Checkpoint | None) -> Checkpoint:
        folder = self.folder / f"support-v{version}"
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_bytes(safetensors_bytes(b"adapter %d" % version))
        (folder / "training.json").write_text(json.dumps({"epochs": version}))
        checkpoint = Checkpoint(
            id=f"c{version}",
            task="support",
            version=version,
            base_model=str(self.base),
            uri=str(folder),
            dataset_id=self.datasets[version - 1].id,
            parent_id=parent.id if parent else None,
            manifest=write_manifest(folder),
            metrics={"loss": 0.5 / version},
            created_at=NOON,
        )
        self.store.checkpoints.add(checkpoint)
        return checkpoint

    def _verdict(self, name: str, model: Checkpoint, baseline: str, **fields: Any) -> Verdict:
        minutes = len(list(self.folder.glob("*/proof*.json")))
        values: dict[str, Any] = {
            "id": name,
            "task": "support",
            "checkpoint_id": model.id,
            "baseline": baseline,
            "golden_id": self.golden.id,
            "status": VerdictStatus.APPROVED,
            "approved": True,
            "deltas": {"tone": 0.01},
            "evidence": {"fingerprint": "e" * 64, "items": [{"id": "i5", "scores": {"tone": [0.5, 0.75]}}]},
            "created_at": NOON + timedelta(minutes=minutes),
        }
        verdict = Verdict(**(values | fields))
        self.store.verdicts.add(verdict)
        return verdict


def add_dataset(
    store: Store, folder: Path, version: int, members: tuple[str, ...], taught: tuple[str, ...] = ()
) -> DatasetRecord:
    """A stored training set with real files; `taught` are rows that people rated and no example holds."""
    examples = [an_example(interaction_id=one, split="validation" if one == members[-1] else "train") for one in members]
    rated = [
        RatedAnswer(
            interaction_id=one, messages=(user("?"),), response=assistant("No."), desirable=False, source="verdict", group=one
        )
        for one in taught
    ]
    name = f"support_training_v{version}"
    fingerprint = fingerprint_of("support", {"version": version}, examples, rated_answers=rated)
    manifest = {"name": name, "task": "support", "version": version, "format": FORMAT, "config": {"version": version}}
    written = Dataset(examples, manifest | {"fingerprint": fingerprint}, rated_answers=rated)
    record = DatasetRecord(
        id=fingerprint,
        task="support",
        name=name,
        version=version,
        uri=str(written.write(folder / name)),
        manifest=written.manifest,
        created_at=NOON,
    )
    return store.datasets.add(
        record, [DatasetItem(interaction_id=one.interaction_id, split=one.split, score=5.0) for one in examples]
    )


def add_golden(store: Store, folder: Path, members: tuple[str, ...]) -> DatasetRecord:
    """A stored golden dataset with a file."""
    place = folder / "support_golden_v1"
    place.mkdir(parents=True)
    (place / "golden.parquet").write_bytes(b"golden rows")
    (place / "manifest.json").write_text('{"items": 3}')
    record = DatasetRecord(
        id=hashlib.sha256(b"golden").hexdigest(),
        task="support",
        kind="golden",
        name="support_golden_v1",
        version=1,
        uri=str(place),
        manifest={"items": 3},
        created_at=NOON,
    )
    return store.datasets.add(record, [DatasetItem(interaction_id=one, split="golden", reason="held out") for one in members])
