"""Making the proof of a verdict: everything it rests on is taken as it stands now and put into the chain.

What is named: the datasets of every model in the candidate's line, the golden dataset, the base model, the line itself, what the
candidate was compared with, and the verdict. A link rests on those before it.
"""

import shutil
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from continuum.artifacts.copies import is_there, local
from continuum.artifacts.places import folder_at, is_remote, name_of
from continuum.artifacts.publishing import upload
from continuum.config import load_settings
from continuum.dataset import Dataset
from continuum.dataset_rows import FORMAT
from continuum.errors import ContinuumError, ProofBroken, StoreError
from continuum.ids import new_id
from continuum.provenance.artifact_links import (
    base_content,
    checkpoint_content,
    dataset_content,
    hash_files,
    kept_uri,
    row_of,
    verdict_content,
)
from continuum.provenance.artifacts import verify_artifact
from continuum.provenance.commitments import committed_rows
from continuum.provenance.proof import Link, Proof, write_proof
from continuum.provenance.revisions import recorded_revision
from continuum.provenance.signing import sign
from continuum.records import Checkpoint, Verdict
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.splits.golden import GoldenDataset
    from continuum.store.database import Store

Clock = Callable[[], datetime]
AGAIN = "a verdict without it cannot be proven"


def prove(store: "Store", verdict: Verdict, *, golden: "GoldenDataset | None" = None, now: Clock = utc_now) -> Proof:
    """Make the proof of a stored verdict, sign it where a key is configured, and put it beside the checkpoint.

    The same verdict on the same things may be proven again: the links are the same, and the newest proof stands.

    Args:
        store: where the verdict is, and what it rests on.
        verdict: which.
        golden: what was asked, where that is no version of the store (a part of one, or questions of one's own): a copy of it is
            kept with the datasets.
        now: the clock.

    Raises:
        ProofBroken: something that the verdict rests on is missing, or is not what was trained; the message names it.
        ConfigurationError: the signing key cannot be read.
    """
    proof = build_proof(store, verdict, golden=golden, now=now)
    key = load_settings().signing_key
    if key is not None:
        proof = Proof(
            proof.task, proof.model, proof.checkpoint_id, proof.verdict_id, proof.made_at, proof.links, sign(proof.head, key)
        )
    write_proof(_known(store, verdict.checkpoint_id, f"verdict {verdict.id}").uri, proof)
    return proof


def build_proof(store: "Store", verdict: Verdict, *, golden: "GoldenDataset | None" = None, now: Clock = utc_now) -> Proof:
    """The proof of a stored verdict, unsigned and not yet written; commits to the interactions that it names. See `prove`.

    Raises:
        ProofBroken: something that the verdict rests on is missing, or is not what was trained; the message names it.
    """
    at = now()
    chain = _Chain(store, at)
    candidate = _known(store, verdict.checkpoint_id, f"verdict {verdict.id}")
    line = _line(store, candidate)
    for model in line:
        chain.dataset(model.dataset_id)
    if golden is not None and golden.fingerprint == verdict.golden_id and store.datasets.get(golden.fingerprint) is None:
        chain.kept(golden)
    else:
        chain.dataset(verdict.golden_id)
    for model in line:
        chain.base(model.base_model)
    for model in line[:-1]:
        chain.checkpoint(model, proven=True)
    compared = _baseline(store, verdict)
    if compared is not None:
        chain.base(compared.base_model)
        chain.checkpoint(compared, proven=True)
    chain.checkpoint(candidate, proven=False)
    chain.verdict(verdict, candidate, compared)
    return Proof(verdict.task, candidate.name, candidate.id, verdict.id, at.isoformat(), tuple(chain.links))


class _Chain:
    """Links in order, each artifact once."""

    def __init__(self, store: "Store", at: datetime) -> None:
        self.store = store
        self.at = at
        self.links: list[Link] = []
        self.digests: dict[tuple[str, str], str] = {}
        """By kind and id."""

    def add(self, key: tuple[str, str], link: Link) -> None:
        self.links.append(link)
        self.digests[key] = link.digest

    def dataset(self, dataset_id: str) -> None:
        from continuum.store.tables import datasets

        if ("dataset", dataset_id) in self.digests:
            return
        row = row_of(self.store, f"dataset {dataset_id}", datasets, dataset_id)
        kind, name = "golden dataset" if row["kind"] == "golden" else "dataset", str(row["name"])
        title = f"{kind} {name}"
        content = dataset_content(self.store, title, dataset_id)
        members = {item.interaction_id for item in self.store.datasets.items(dataset_id)}
        taught = set[str]() if row["kind"] == "golden" else _taught(title, str(row["uri"]), dataset_id)
        rows = Link("interactions", name, committed_rows(self.store, f"interactions of {name}", members | taught, self.at))
        self.add(("interactions", dataset_id), rows)
        self.add(("dataset", dataset_id), Link(kind, name, content, (rows.digest,)))

    def kept(self, golden: "GoldenDataset") -> None:
        title = f"golden dataset {golden.name}"
        try:
            uri = keep_golden(golden)
        except (ContinuumError, OSError) as error:
            raise ProofBroken(title, f"it is no version of the store, and no copy of it could be kept: {error}") from error
        ids = (item.interaction_id for item in golden)
        rows = Link("interactions", golden.name, committed_rows(self.store, f"interactions of {golden.name}", ids, self.at))
        content = {"id": golden.fingerprint, "kept": True, "files": hash_files(title, uri)}
        self.add(("interactions", golden.fingerprint), rows)
        self.add(("dataset", golden.fingerprint), Link("golden dataset", golden.name, content, (rows.digest,)))

    def base(self, base_model: str) -> None:
        if ("base", base_model) not in self.digests:
            self.add(("base", base_model), Link("base model", base_model, base_content(base_model)))

    def checkpoint(self, model: Checkpoint, *, proven: bool) -> None:
        if ("checkpoint", model.id) in self.digests:
            return
        title = f"checkpoint {model.name}"
        content = checkpoint_content(self.store, title, model.id, verdict=None, proven=proven)
        self._require_as_trained(title, model)
        grounds = (("dataset", model.dataset_id), ("base", model.base_model), ("checkpoint", model.parent_id or ""))
        rests_on = tuple(self.digests[ground] for ground in grounds if ground in self.digests)
        self.add(("checkpoint", model.id), Link("checkpoint", model.name, content, rests_on))

    def verdict(self, verdict: Verdict, candidate: Checkpoint, compared: Checkpoint | None) -> None:
        about = verdict.model_dump(mode="json", include={"status", "approved", "max_traffic", "baseline", "golden_id"})
        content = verdict_content(self.store, f"verdict {verdict.id}", verdict.id) | about
        content["evidence"] = verdict.evidence.get("fingerprint")
        grounds = [("dataset", verdict.golden_id), ("checkpoint", candidate.id)]
        grounds += [("checkpoint", compared.id)] if compared is not None else []
        self.add(("verdict", verdict.id), Link("verdict", verdict.id, content, tuple(self.digests[one] for one in grounds)))

    def _require_as_trained(self, title: str, model: Checkpoint) -> None:
        """The files must be those that training left, on the base that training used: else the proof would vouch for others."""
        try:
            verify_artifact(model.uri, model.manifest)
            trained_on = recorded_revision(model.uri)
        except ContinuumError as error:
            raise ProofBroken(title, str(error)) from error
        found = next(
            link.content["revision"] for link in self.links if (link.kind, link.name) == ("base model", model.base_model)
        )
        if len(trained_on) == len(found) and trained_on != found:
            raise ProofBroken(
                f"base model {model.base_model}",
                f"it is at revision {found[:12]} and {model.name} was trained on {trained_on[:12]}; restore the base model",
            )


def keep_golden(golden: "GoldenDataset") -> str:
    """Keep a copy of a golden set that the store has no version of; returns its URI.

    Raises:
        StoreError: what lies there is not this set.
    """
    uri = kept_uri(golden.task, golden.fingerprint)
    if not is_there(uri):
        place = load_settings().datasets_dir / golden.task if is_remote(uri) else folder_at(uri).parent
        place.mkdir(parents=True, exist_ok=True)
        unfinished = golden.save(place / f".{name_of(uri)}.{new_id()}")
        try:
            if is_remote(uri):
                upload(unfinished, uri)
            else:
                unfinished.rename(folder_at(uri))
        except OSError:
            # Another process was quicker.
            if not is_there(uri):
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    if golden.load(local(uri)).items != golden.items:
        raise StoreError(f"{uri} holds other items than {golden.name}; move it away and guard the model again")
    return uri


def _line(store: "Store", candidate: Checkpoint) -> list[Checkpoint]:
    """The models behind a candidate, oldest first, and the candidate itself."""
    line = [candidate]
    while line[0].parent_id:
        parent = _known(store, line[0].parent_id, f"checkpoint {line[0].name}")
        # Versions only grow along a line, so this ends even if a row names a wrong parent.
        if parent.version >= line[0].version:
            raise ProofBroken(f"checkpoint {line[0].name}", f"its parent is said to be the later {parent.name}; {AGAIN}")
        line.insert(0, parent)
    return line


def _baseline(store: "Store", verdict: Verdict) -> Checkpoint | None:
    """The checkpoint that the candidate was compared with; None for production."""
    found = store.checkpoints.get(verdict.baseline)
    if found is None and verdict.baseline not in ("production", "base"):
        raise ProofBroken(f"verdict {verdict.id}", f"its baseline {verdict.baseline} is not in the store; {AGAIN}")
    return found


def _known(store: "Store", checkpoint_id: str, title: str) -> Checkpoint:
    found = store.checkpoints.get(checkpoint_id)
    if found is None:
        raise ProofBroken(title, f"checkpoint {checkpoint_id} is not in the store; {AGAIN}")
    return found


def _taught(title: str, uri: str, fingerprint: str) -> set[str]:
    """Ids of the interactions that a training set teaches from beside its examples; its rows must be the fingerprint's."""
    try:
        dataset = Dataset.read(uri)
        # Versions of an older format are read, and cannot be held against their fingerprint.
        if dataset.manifest.get("format") == FORMAT:
            dataset.verify()
    except ContinuumError as error:
        raise ProofBroken(title, str(error)) from error
    if dataset.fingerprint != fingerprint:
        raise ProofBroken(title, f"its files are those of {dataset.fingerprint[:12]}, the store says {fingerprint[:12]}; {AGAIN}")
    named: list[Any] = [*dataset.preferences, *dataset.rated_answers]
    return {one.interaction_id for one in named} | {one.rejected_id for one in dataset.preferences}
