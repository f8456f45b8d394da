"""The proof of a verdict: is everything it rests on still what it was?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from continuum.artifacts.places import is_remote
from continuum.commands.terminal import Json, complain, print_json, say, show_table
from continuum.config import load_settings
from continuum.errors import ConfigurationError, ProofBroken
from continuum.store import default_store

if TYPE_CHECKING:
    from continuum.provenance.verifying import Verified

SHOWN_TOMBSTONES = 20
UNCHECKED = "not checked here"


def proof(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL|FOLDER",
            help="A checkpoint's id or name: held against the store and every file. Its folder or URL: against itself.",
        ),
    ] = None,
    new_key: Annotated[
        Path | None, typer.Option("--new-key", metavar="FILE", help="Make a key pair; the private key goes into FILE.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the proof of a checkpoint's verdict, link by link; exits 1 where one is broken and names it."""
    if new_key is not None:
        _make_key(new_key, as_json)
    elif target is None:
        raise ConfigurationError("name a checkpoint or a folder, such as: continuum proof support-v1")
    else:
        verified = _verified(target)
        if as_json:
            print_json(_plain(verified))
        else:
            _show(verified)


def _make_key(file: Path, as_json: bool) -> None:
    from continuum.provenance.signing import new_key

    public = new_key(file)
    if as_json:
        print_json({"public_key": public, "private_key_file": file})
    else:
        say(public)
    complain(
        f"the private key is in {file}, which only you can read: set CONTINUUM_SIGNING_KEY={file} where verdicts are given, and "
        f"CONTINUUM_TRUSTED_KEYS={public} where models are deployed"
    )


def _verified(target: str) -> "Verified":
    from continuum.provenance.proof import PROOF
    from continuum.provenance.verifying import require_proof, verify_folder

    trusted = load_settings().trusted_keys
    folder = Path(target)
    if is_remote(target):
        return verify_folder(target, trusted=trusted)
    if (folder / PROOF).is_file() or (folder.is_dir() and default_store().checkpoints.get(target) is None):
        return verify_folder(folder, trusted=trusted)
    store = default_store()
    checkpoint = store.checkpoints.get(target)
    if checkpoint is None:
        raise ConfigurationError(f"{target!r} is neither a checkpoint of the store nor a folder with a {PROOF} in it")
    verified = require_proof(store, checkpoint, trusted=trusted)
    if verified is None:
        raise ProofBroken(f"checkpoint {checkpoint.name}", f"it has no {PROOF}: continuum guard --candidate {checkpoint.name}")
    newest = store.verdicts.latest(checkpoint.id)
    if newest is not None and newest.id != verified.proof.verdict_id:
        complain(f"the newest verdict on {checkpoint.name} is {newest.id}, and the proof is of {verified.proof.verdict_id}")
    return verified


def _show(verified: "Verified") -> None:
    table = Table("link", "digest", "holds against", title=f"{verified.proof.model}: verdict {verified.proof.verdict_id}")
    for checked in verified.links:
        # Names come from a file that may be anybody's: they are text, and no markup.
        table.add_row(Text(checked.link.title), Text(checked.link.digest[:12]), Text(checked.against or UNCHECKED))
    show_table(table)
    say(f"head {verified.proof.head}, made {verified.proof.made_at}")
    say(
        f"signed by {verified.signed_by}" if verified.signed_by else "not signed: whoever can write everything can prove anything"
    )
    if verified.tombstones:
        say(f"{len(verified.tombstones)} rows were erased since, and left tombstones:")
        for stone in verified.tombstones[:SHOWN_TOMBSTONES]:
            say(f"  {stone.commitment} of {stone.dataset}, erased {stone.erased_at}")
        if len(verified.tombstones) > SHOWN_TOMBSTONES:
            say(f"  and {len(verified.tombstones) - SHOWN_TOMBSTONES} more")
    if verified.absent:
        say(f"{verified.absent} members of datasets were no longer in the store when the proof was made")
    if verified.own:
        say(f"{verified.own} golden questions are own ones, not from traffic: no row belongs to them, the dataset's files do")
    if any(not checked.against for checked in verified.links):
        say(f"where it says {UNCHECKED!r}: name the checkpoint, beside its store, to hold it against the artifacts")


def _plain(verified: "Verified") -> dict[str, object]:
    links = [
        {"kind": one.link.kind, "name": one.link.name, "digest": one.link.digest, "against": one.against or None}
        for one in verified.links
    ]
    stones = [{"commitment": one.commitment, "dataset": one.dataset, "erased_at": one.erased_at} for one in verified.tombstones]
    return {**verified.evidence(), "model": verified.proof.model, "links": links, "tombstones": stones}
