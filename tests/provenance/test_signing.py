"""Proofs are signed with a key of one's own, and where keys are trusted nothing else is."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from continuum.config import load_settings
from continuum.errors import ConfigurationError, ProofBroken
from continuum.provenance.artifacts import write_manifest
from continuum.provenance.proof import Proof, write_proof
from continuum.provenance.proving import build_proof
from continuum.provenance.signing import Signature, is_of, new_key, sign
from continuum.provenance.verifying import require_proof, verify_folder, verify_proof
from continuum.store.database import Store
from continuum.store.tables import checkpoints
from tests.proven_line import ProvenLine

HEAD = "ab" * 32


@pytest.fixture
def key(tmp_path: Path) -> tuple[Path, str]:
    file = tmp_path / "signing.pem"
    return file, new_key(file)


@pytest.fixture
def signed(store: Store, tmp_path: Path, key: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> ProvenLine:
    monkeypatch.setenv("CONTINUUM_SIGNING_KEY", str(key[0]))
    return ProvenLine(store, tmp_path / "line")


def test_a_new_key_is_its_owners_alone_and_never_written_over(key: tuple[Path, str]) -> None:
    file, public = key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(bytes.fromhex(public)) == 32
    with pytest.raises(ConfigurationError, match="no key is written over"):
        new_key(file)


def test_what_the_key_signed_checks_with_its_public_half(key: tuple[Path, str]) -> None:
    file, public = key
    signature = sign(HEAD, file)
    assert signature.key == public
    assert is_of(signature, HEAD)
    assert not is_of(signature, "ac" * 32)
    assert not is_of(Signature("zz", signature.value), HEAD)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 511), whose=st.booleans())
def test_a_signature_with_any_bit_turned_is_none(key: tuple[Path, str], place: int, whose: bool) -> None:
    signature = sign(HEAD, key[0])

    def turned(text: str) -> str:
        held = bytearray.fromhex(text)
        held[place // 8 % len(held)] ^= 1 << place % 8
        return held.hex()

    altered = Signature(turned(signature.key), signature.value) if whose else Signature(signature.key, turned(signature.value))
    assert not is_of(altered, HEAD)


def test_a_key_that_others_may_read_is_not_used(key: tuple[Path, str]) -> None:
    key[0].chmod(0o640)
    with pytest.raises(ConfigurationError, match="can be read by others"):
        sign(HEAD, key[0])


@pytest.mark.parametrize("held", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"])
def test_a_file_that_holds_no_key_is_named_and_not_quoted(tmp_path: Path, held: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(held)
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match="holds no Ed25519 private key") as refused:
        sign(HEAD, file)
    assert refused.value.__cause__ is None
    assert "secret" not in str(refused.value)


def test_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        sign(HEAD, tmp_path / "none")


def test_a_proof_is_signed_where_a_key_is_configured(signed: ProvenLine, key: tuple[Path, str]) -> None:
    found = require_proof(signed.store, signed.candidate, trusted=[key[1]])
    assert found is not None
    assert found.signed_by == key[1]
    assert verify_folder(signed.candidate.uri, trusted=[key[1]]).signed_by == key[1]


def test_a_proof_that_a_stranger_signed_or_nobody_is_refused_where_keys_are_trusted(
    signed: ProvenLine, key: tuple[Path, str], tmp_path: Path
) -> None:
    stranger = new_key(tmp_path / "stranger.pem")
    with pytest.raises(ProofBroken, match="not among CONTINUUM_TRUSTED_KEYS"):
        require_proof(signed.store, signed.candidate, trusted=[stranger])
    unsigned = build_proof(signed.store, signed.verdict)
    with pytest.raises(ProofBroken, match="it is not signed"):
        verify_proof(signed.store, unsigned, trusted=[key[1]])


def test_a_proof_made_anew_without_the_key_is_refused(signed: ProvenLine, key: tuple[Path, str]) -> None:
    """By who can write the store, the files and the proof."""
    adapter = Path(signed.candidate.uri) / "training.json"
    adapter.write_text('{"epochs": 3}')
    model = signed.candidate.model_copy(update={"manifest": write_manifest(adapter.parent)})
    with signed.store.engine.begin() as connection:
        connection.execute(update(checkpoints).where(checkpoints.c.id == model.id).values(manifest=model.manifest))
    old = Proof.from_json(signed.proof_file.read_text())
    write_proof(model.uri, replace(build_proof(signed.store, signed.verdict), signature=old.signature))

    with pytest.raises(ProofBroken, match=r"the signature in proof.json was altered, or is not of this proof"):
        require_proof(signed.store, model, trusted=[key[1]])


def test_an_altered_signature_is_refused_whoever_is_trusted(signed: ProvenLine) -> None:
    text = signed.proof_file.read_text()
    value = json.loads(text)["signature"]["value"]
    signed.proof_file.write_text(text.replace(value, value[::-1]))
    with pytest.raises(ProofBroken, match="the signature of the proof"):
        require_proof(signed.store, signed.candidate)


def test_trusted_keys_are_read_from_the_environment(home: Path) -> None:
    found = load_settings({"CONTINUUM_HOME": str(home), "CONTINUUM_TRUSTED_KEYS": f" {'A' * 64}, {'b' * 64},"})
    assert found.trusted_keys == ("a" * 64, "b" * 64)
    with pytest.raises(ConfigurationError, match="64 hexadecimal digits"):
        load_settings({"CONTINUUM_HOME": str(home), "CONTINUUM_TRUSTED_KEYS": "abc"})
