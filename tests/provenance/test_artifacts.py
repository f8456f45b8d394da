import pickle  # noqa: TID251 - written here, never read
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.errors import StoreError
from continuum.provenance.artifacts import MANIFEST, verify_artifact, write_manifest
from tests.builders import safetensors_bytes


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return an_artifact(tmp_path / "artifact")


def an_artifact(folder: Path) -> Path:
    (folder / "inner").mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(safetensors_bytes(b"weights"))
    (folder / "inner" / "tokens.json").write_text("{}")
    write_manifest(folder)
    return folder


def test_an_untouched_artifact_verifies(artifact: Path):
    files = verify_artifact(artifact)

    assert set(files) == {"weights.safetensors", "inner/tokens.json"}
    assert verify_artifact(artifact, files) == files
    assert write_manifest(artifact) == files


def test_an_altered_file_is_named(artifact: Path):
    (artifact / "weights.safetensors").write_bytes(b"weightz")

    with pytest.raises(StoreError, match=r"weights\.safetensors was altered"):
        verify_artifact(artifact)


def test_a_missing_file_is_named(artifact: Path):
    (artifact / "inner" / "tokens.json").unlink()

    with pytest.raises(StoreError, match=r"tokens\.json is missing"):
        verify_artifact(artifact)


def test_a_file_that_was_slipped_in_is_named(artifact: Path):
    (artifact / "adapter_model.bin").write_bytes(b"pickle")

    with pytest.raises(StoreError, match=r"adapter_model\.bin is not part of the artifact"):
        verify_artifact(artifact)


def test_a_rewritten_manifest_does_not_pass_for_the_one_in_the_store(artifact: Path):
    known = verify_artifact(artifact)
    (artifact / "weights.safetensors").write_bytes(safetensors_bytes(b"other"))
    write_manifest(artifact)

    verify_artifact(artifact)
    with pytest.raises(StoreError, match="not the manifest that the store holds"):
        verify_artifact(artifact, known)


@pytest.mark.parametrize("content", [None, "not json", "[]", '{"files": 3}'])
def test_without_a_readable_manifest_it_is_not_complete(artifact: Path, content: str | None):
    (artifact / "manifest.json").unlink()
    if content is not None:
        (artifact / "manifest.json").write_text(content)

    with pytest.raises(StoreError, match=r"manifest"):
        verify_artifact(artifact)


@pytest.fixture(scope="module")
def held_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return an_artifact(tmp_path_factory.mktemp("held") / "artifact")


@settings(max_examples=150)
@given(st.data())
def test_whatever_byte_of_whatever_file_is_flipped_the_file_is_named(held_once: Path, data: st.DataObject):
    known = verify_artifact(held_once)
    name = data.draw(st.sampled_from([*sorted(known), MANIFEST]))
    path = held_once / name
    before = path.read_bytes()
    place = data.draw(st.integers(0, len(before) - 1))
    path.write_bytes(before[:place] + bytes([before[place] ^ data.draw(st.integers(1, 255))]) + before[place + 1 :])

    try:
        # A manifest with another space in it still says the same; one that says something else is refused.
        if name == MANIFEST and _says_the_same(path, known):
            return
        with pytest.raises(StoreError, match=name.replace(".", r"\.")):
            verify_artifact(held_once, known)
    finally:
        path.write_bytes(before)


def _says_the_same(path: Path, known: dict[str, str]) -> bool:
    try:
        return verify_artifact(path.parent) == known
    except StoreError:
        return False


def test_a_manifest_does_not_make_a_pickle_welcome(artifact: Path):
    (artifact / "tokens.model").write_bytes(pickle.dumps({"a": 1}))
    known = write_manifest(artifact)

    with pytest.raises(StoreError, match=r"tokens\.model is a pickle"):
        verify_artifact(artifact, known)
