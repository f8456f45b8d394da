"""The proof of a verdict: a chain of hashes from the interactions to the verdict, in a file beside the checkpoint.

Each link says of one artifact what it was when the verdict was given, and which links it rests on. The head of a link is
`sha256(head before || canonical JSON of the link)`, so the last head stands for everything, and one signature under it for all.

| link | what it holds |
|---|---|
| interactions | for one dataset: a salted commitment to each row, and to what people and judges had said of it |
| dataset, golden dataset | sha256 of every file, of the store's row, and of who is in it |
| base model | sha256 of every file that makes it |
| checkpoint | sha256 of every file and of the store's row; of a parent also the head of its own proof, and its verdict's row |
| verdict | sha256 of the store's whole row, and the fingerprint of its evidence |

The file is written in one form only: a file of any other bytes is not the proof.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from continuum.artifacts.beside import read_beside, write_beside
from continuum.artifacts.places import below, folder_at, is_remote
from continuum.dataset_rows import settle, sync
from continuum.errors import ProofBroken
from continuum.provenance.signing import Signature
from continuum.store.exact import canonical, digest_of

FORMAT = 1
PROOF = "proof.json"
ITSELF = "the proof itself"
"""What is named where the chain is broken and not what it speaks of."""


@dataclass(frozen=True)
class Link:
    """One artifact, as it was."""

    kind: str
    """interactions, dataset, golden dataset, base model, checkpoint or verdict."""
    name: str
    """Its name, or for a verdict its id; for interactions the dataset's."""
    content: dict[str, Any]
    rests_on: tuple[str, ...] = ()
    """Digests of earlier links."""

    @property
    def title(self) -> str:
        """Kind and name, as errors and tables say it."""
        return f"{self.kind} of {self.name}" if self.kind == "interactions" else f"{self.kind} {self.name}"

    @cached_property
    def digest(self) -> str:
        """sha256 of the content's canonical JSON, in hex."""
        return digest_of(self.content)

    @property
    def stated(self) -> dict[str, Any]:
        """The link as its head is made of."""
        return {"kind": self.kind, "name": self.name, "digest": self.digest, "rests_on": list(self.rests_on)}


@dataclass(frozen=True)
class Proof:
    """What a verdict rests on, link by link."""

    task: str
    model: str
    checkpoint_id: str
    verdict_id: str
    made_at: str
    """ISO 8601, UTC."""
    links: tuple[Link, ...]
    signature: Signature | None = field(default=None, compare=False)

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """The head after each link, in hex; the first begins with the hash of what the proof is of."""
        heads, head = [], digest_of(self._about)
        for link in self.links:
            head = sha256(bytes.fromhex(head) + canonical(link.stated)).hexdigest()
            heads.append(head)
        return tuple(heads)

    @property
    def head(self) -> str:
        """The last head: it stands for the whole proof."""
        return self.heads[-1] if self.links else digest_of(self._about)

    def link(self, kind: str, name: str) -> Link | None:
        """The link of this kind and name."""
        return next((link for link in self.links if (link.kind, link.name) == (kind, name)), None)

    def to_json(self) -> str:
        """The one form in which the proof is written."""
        links = [
            {**link.stated, "content": link.content, "head": head} for link, head in zip(self.links, self.heads, strict=True)
        ]
        signature = None if self.signature is None else {"key": self.signature.key, "value": self.signature.value}
        whole = {**self._about, "links": links, "head": self.head, "signature": signature}
        return json.dumps(whole, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Proof":
        """Read a proof and check its chain, to the byte.

        Raises:
            ProofBroken: the message names the first link that is not what was written.
        """
        try:
            found = json.loads(text)
            links = tuple(Link(one["kind"], one["name"], one["content"], tuple(one["rests_on"])) for one in found["links"])
            signature = None if found["signature"] is None else Signature(found["signature"]["key"], found["signature"]["value"])
            fields = {name: found[name] for name in ("task", "model", "checkpoint_id", "verdict_id", "made_at")}
            proof = cls(**fields, links=links, signature=signature)
            if found["format"] != FORMAT:
                raise ProofBroken(
                    ITSELF, f"it is of format {found['format']!r} and this Continuum reads {FORMAT}; guard the model again"
                )
            if proof.to_json() != text:
                raise ProofBroken(*_difference(proof, found))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ProofBroken(ITSELF, f"{PROOF} was altered: it cannot be read as a proof ({type(error).__name__})") from error
        return proof

    @property
    def _about(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "task": self.task,
            "model": self.model,
            "checkpoint_id": self.checkpoint_id,
            "verdict_id": self.verdict_id,
            "made_at": self.made_at,
        }


def write_proof(folder: str | Path, proof: Proof) -> None:
    """Put a proof beside the checkpoint it is of; the proof of an earlier verdict stays, under that verdict's id."""
    if is_remote(folder):
        for name in (_kept(proof.verdict_id), PROOF):
            write_beside(str(folder), name, proof.to_json().encode())
        return
    path = folder_at(folder) / PROOF
    earlier = path.read_text(encoding="utf-8") if path.is_file() else ""
    if earlier:
        try:
            replaced = Proof.from_json(earlier).verdict_id
        except ProofBroken:
            # What was altered proves nothing any more; nobody will ask for it.
            replaced = proof.verdict_id
        if replaced != proof.verdict_id:
            settle(path.with_name(_kept(replaced)), lambda unfinished: unfinished.write_text(earlier, encoding="utf-8"))
    settle(path, lambda unfinished: unfinished.write_text(proof.to_json(), encoding="utf-8"))
    sync(path.parent)


def read_proof(folder: str | Path, verdict_id: str | None = None) -> Proof | None:
    """The proof beside a checkpoint: the newest, or that of a verdict; None where there is none.

    Raises:
        ProofBroken: the file is not what was written.
    """
    for name in [PROOF] if verdict_id is None else [_kept(verdict_id), PROOF]:
        try:
            found = _bytes_beside(folder, name)
            proof = None if found is None else Proof.from_json(found.decode("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ProofBroken(ITSELF, f"{below(folder, name)} was altered: it cannot be read ({type(error).__name__})") from error
        if proof is not None and verdict_id in (None, proof.verdict_id):
            return proof
    return None


def _bytes_beside(folder: str | Path, name: str) -> bytes | None:
    if is_remote(folder):
        return read_beside(str(folder), name)
    try:
        return (folder_at(folder) / name).read_bytes()
    except FileNotFoundError:
        return None


def _kept(verdict_id: str) -> str:
    return f"proof-{verdict_id}.json"


def _difference(proof: Proof, found: dict[str, Any]) -> tuple[str, str]:
    """Which link is not what was written."""
    again = "restore it from a backup, or guard the model again"
    for link, head, stated in zip(proof.links, proof.heads, found["links"], strict=True):
        if stated.get("digest") != link.digest:
            return link.title, f"what {PROOF} says of it was altered: its digest is another; {again}"
        if stated.get("head") != head:
            return link.title, f"the chain in {PROOF} is broken here: this link or what stands before it was altered; {again}"
    return ITSELF, f"{PROOF} was altered: it is not in the form it was written in; {again}"


def require_ground(links: Sequence[Link]) -> None:
    """Check that each link rests on links before it.

    Raises:
        ProofBroken: one rests on nothing that the proof holds.
    """
    before: set[str] = set()
    for link in links:
        if not before.issuperset(link.rests_on):
            raise ProofBroken(link.title, f"it rests on something that {PROOF} does not hold; guard the model again")
        before.add(link.digest)
