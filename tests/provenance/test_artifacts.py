from pathlib import Path

import pytest

from continuum.errors import StoreError
from continuum.provenance.artifacts import verify_artifact, write_manifest


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "artifact"
    (folder / "inner").mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"weights")
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
    (artifact / "weights.safetensors").write_bytes(b"other")
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
