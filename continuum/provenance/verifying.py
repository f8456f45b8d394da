"""Checking a proof: its form, its signature, and then each link against what it speaks of, in the order of the chain.

The first link that does not hold is named, and nothing behind it is looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from continuum.errors import ProofBroken
from continuum.provenance.artifact_links import (
    base_content,
    checkpoint_content,
    dataset_content,
    hash_checkpoint,
    hash_files,
    kept_uri,
    less_erased,
    member_ids,
    require_same,
    verdict_content,
)
from continuum.provenance.commitments import RowsChecked, Tombstone, check_rows
from continuum.provenance.proof import PROOF, Link, Proof, read_proof, require_ground
from continuum.provenance.signing import is_of
from continuum.records import Checkpoint

if TYPE_CHECKING:
    from continuum.store.database import Store

SIGNATURE = "the signature of the proof"


@dataclass(frozen=True)
class CheckedLink:
    """A link that holds, and against what."""

    link: Link
    against: str
    """In words; empty for one that could not be checked here."""


@dataclass(frozen=True)
class Verified:
    """A proof that holds."""

    proof: Proof
    links: tuple[CheckedLink, ...]
    tombstones: tuple[Tombstone, ...] = ()
    """Rows that were erased since: the proof still names them, and nobody can read them."""
    absent: int = 0
    """Members of datasets that had no row when the proof was made: they were lost by then."""
    own: int = 0
    """Golden questions that somebody brought, behind which there never was a row."""
    signed_by: str | None = None
    """The public key in hex; None where nobody signed."""

    def evidence(self) -> dict[str, object]:
        """What a deployment keeps of it."""
        return {
            "head": self.proof.head,
            "verdict_id": self.proof.verdict_id,
            "links": len(self.links),
            "tombstones": len(self.tombstones),
            "absent": self.absent,
            "own": self.own,
            "signed_by": self.signed_by,
        }


def require_proof(store: "Store", checkpoint: Checkpoint, *, trusted: Sequence[str] = ()) -> Verified | None:
    """Check the newest proof beside a checkpoint against the store and every file that it names.

    Args:
        store: where the rows are.
        checkpoint: whose proof.
        trusted: public keys in hex; where there are any, one of them must have signed.

    Returns:
        What holds; None where the checkpoint has no proof.

    Raises:
        ProofBroken: the message names the first link that is broken, and the artifact.
    """
    proof = read_proof(checkpoint.uri)
    if proof is None:
        return None
    if proof.checkpoint_id != checkpoint.id:
        raise ProofBroken(
            f"checkpoint {checkpoint.name}",
            f"the {PROOF} in its folder is that of {proof.model}; restore its own, or guard the model again",
        )
    return verify_proof(store, proof, trusted=trusted)


def verify_proof(store: "Store", proof: Proof, *, trusted: Sequence[str] = ()) -> Verified:
    """Check a proof against the store and every file that it names; every byte is read anew.

    Args:
        store: where the rows are.
        proof: as `read_proof` gives it, whose chain is checked already.
        trusted: public keys in hex; where there are any, one of them must have signed.

    Raises:
        ProofBroken: the message names the first link that is broken, and the artifact.
    """
    signed_by = _signer(proof, trusted)
    require_ground(proof.links)
    checked: list[CheckedLink] = []
    graves: list[Tombstone] = []
    absent = own = 0
    try:
        for link in proof.links:
            if link.kind == "interactions":
                found = _check_interactions(store, proof, link)
                graves += found.tombstones
                absent += found.absent
                own += found.own
                checked.append(CheckedLink(link, _told(found)))
            else:
                checked.append(CheckedLink(link, _check(store, proof.task, link)))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        # Well-formed and yet no proof of ours: somebody else made it.
        raise ProofBroken(proof.links[len(checked)].title, f"{PROOF} says what no proof says; guard the model again") from error
    _require_end(proof)
    return Verified(proof, tuple(checked), tuple(graves), absent, own, signed_by)


def verify_folder(folder: str | Path, *, trusted: Sequence[str] = ()) -> Verified:
    """Check what can be checked without the store: the chain, the signature, and the files beside the proof.

    Raises:
        ProofBroken: there is no proof, or the message names what is broken.
    """
    proof = read_proof(folder)
    if proof is None:
        raise ProofBroken(str(folder), f"there is no {PROOF} in it; `continuum guard` leaves one beside the checkpoint")
    signed_by = _signer(proof, trusted)
    require_ground(proof.links)
    _require_end(proof)
    own = proof.link("checkpoint", proof.model)
    if own is None:
        raise ProofBroken(f"checkpoint {proof.model}", f"{PROOF} does not speak of it; guard the model again")
    files = hash_checkpoint(own.title, folder)
    require_same(own, own.content | {"files": files})
    checked = tuple(CheckedLink(link, f"{len(files)} files" if link is own else "") for link in proof.links)
    return Verified(proof, checked, signed_by=signed_by)


def _signer(proof: Proof, trusted: Sequence[str]) -> str | None:
    """Who signed; a signature that is there must be right, whoever is trusted."""
    again = "sign with CONTINUUM_SIGNING_KEY and guard the model again"
    if proof.signature is None:
        if trusted:
            raise ProofBroken(SIGNATURE, f"it is not signed, and CONTINUUM_TRUSTED_KEYS asks for it; {again}")
        return None
    if not is_of(proof.signature, proof.head):
        raise ProofBroken(SIGNATURE, f"the signature in {PROOF} was altered, or is not of this proof; {again}")
    if trusted and proof.signature.key not in trusted:
        raise ProofBroken(
            SIGNATURE, f"{proof.signature.key} signed it, which is not among CONTINUUM_TRUSTED_KEYS; {again}, or trust that key"
        )
    return proof.signature.key


def _require_end(proof: Proof) -> None:
    """The chain must end in the verdict that it says it is of, and hold the checkpoint."""
    last = proof.links[-1] if proof.links else None
    if last is None or (last.kind, last.name) != ("verdict", proof.verdict_id):
        raise ProofBroken(f"verdict {proof.verdict_id}", f"{PROOF} does not end in it; guard the model again")
    own = proof.link("checkpoint", proof.model)
    if own is None or own.content.get("id") != proof.checkpoint_id or own.digest not in last.rests_on:
        raise ProofBroken(f"checkpoint {proof.model}", f"the verdict in {PROOF} does not rest on it; guard the model again")


def _check_interactions(store: "Store", proof: Proof, link: Link) -> RowsChecked:
    held = next(one for one in proof.links if link.digest in one.rests_on)
    return check_rows(store, link.title, link.name, link.content, lambda: member_ids(store, held.content["id"]))


def _check(store: "Store", task: str, link: Link) -> str:
    """Hold an artifact against its link; returns against what it was checked."""
    content = link.content
    if link.kind == "golden dataset" and "kept" in content:
        now = {"files": hash_files(link.title, kept_uri(task, content["id"]))}
        against = f"{len(now['files'])} files of the copy that was kept"
    elif link.kind in ("dataset", "golden dataset"):
        now = dataset_content(store, link.title, content["id"], link=link)
        against = f"{len(now['files'])} files, the store's row, its members"
    elif link.kind == "base model":
        now = base_content(link.name) if content["files"] else content
        against = f"{len(now['files'])} files" if content["files"] else ""
    elif link.kind == "checkpoint":
        proven = content.get("proof")
        verdict = proven["verdict"] if proven else None
        now = checkpoint_content(store, link.title, content["id"], verdict=verdict, proven=proven is not None, link=link)
        against = f"{len(now['files'])} files, the store's row" + (", the proof of its own verdict" if proven else "")
    elif link.kind == "verdict":
        now, against = verdict_content(store, link.title, content["id"], link=link), "the store's row"
    else:
        raise ProofBroken(link.title, f"this Continuum knows no links of kind {link.kind!r}; guard the model again")
    now, taken = less_erased(store, link, now)
    against += "; what was erased since is out of it" if taken else ""
    changed = link.kind == "golden dataset" and now["files"] != content["files"]
    if changed and (erased := _erased(store, task, link)) is not None:
        # What an erasure left is told by the hashes of its items; anything else is refused in the next line.
        now = now | {"files": content["files"]}
        against += f"; {erased} of its questions were erased"
    require_same(link, now)
    return against


def _erased(store: "Store", task: str, link: Link) -> int | None:
    """How many items an erasure took out of the files of a golden dataset; None where something else was done to them."""
    from continuum.splits.golden_erasure import erased_since  # polars starts here

    content = link.content
    if "kept" in content:
        return erased_since(store, kept_uri(task, content["id"]), content["files"], None)
    # The row was held against the link a moment ago.
    record = store.datasets.get(content["id"])
    return None if record is None else erased_since(store, record.uri, content["files"], record.manifest)


def _told(found: RowsChecked) -> str:
    told = f"{found.rows} rows of the store, {found.opinions} of what was said of them"
    told += f", {len(found.tombstones)} tombstones" if found.tombstones else ""
    told += f"; {found.own} own questions, not from traffic" if found.own else ""
    return told + (f"; {found.absent} were no longer in the store" if found.absent else "")
