import json
from pathlib import Path

import pytest

from continuum.errors import ConfigurationError
from continuum.provenance.revisions import base_revision, recorded_revision, require_same_base
from tests.builders import safetensors_bytes

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(safetensors_bytes(b"weights"))
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "merges.txt").write_text("a b")
    return folder


def test_the_same_files_are_the_same_base_wherever_they_lie(base: Path, tmp_path: Path):
    revision = base_revision(base)

    assert len(revision) == 64
    assert base_revision(base.rename(tmp_path / "moved")) == revision


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "chat_template.jinja", "merges.txt"])
def test_any_file_of_the_model_that_changes_makes_another_base(base: Path, name: str):
    revision = base_revision(base)
    (base / name).write_text("other than before")

    assert base_revision(base) != revision


def test_a_file_under_another_name_makes_another_base(base: Path):
    revision = base_revision(base)
    (base / "merges.txt").rename(base / "vocab.txt")

    assert base_revision(base) != revision


def test_what_is_not_the_model_does_not_count(base: Path):
    revision = base_revision(base)
    (base / "README.md").write_text("about it")
    (base / "optimizer.pt").write_bytes(b"state")
    (base / ".cache.json").write_text("{}")

    assert base_revision(base) == revision


def test_a_folder_without_a_model_has_no_revision(tmp_path: Path):
    assert base_revision(tmp_path) == ""


def test_a_hub_id_has_the_commit_of_the_local_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--some--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    assert base_revision("some/model") == ""

    (repository / "snapshots" / COMMIT).mkdir(parents=True)

    assert base_revision("some/model") == COMMIT
    assert base_revision("another/model") == ""


def trained_on(folder: Path, **about: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "training.json").write_text(json.dumps(about))
    return folder


def test_an_adapter_stays_with_the_base_that_it_was_trained_on(base: Path, tmp_path: Path):
    adapter = trained_on(tmp_path / "adapter", base_revision=base_revision(base))
    require_same_base(adapter, base)
    (base / "model.safetensors").write_bytes(safetensors_bytes(b"other"))

    with pytest.raises(ConfigurationError, match="was trained on revision"):
        require_same_base(adapter, base)


def test_an_adapter_that_does_not_say_passes(base: Path, tmp_path: Path):
    require_same_base(tmp_path, base)
    require_same_base(trained_on(tmp_path / "adapter", origin={"base_model": "x"}), base)
    require_same_base(trained_on(tmp_path / "adapter", base_revision="abc"), "a/model-that-is-not-in-the-cache")


def test_a_revision_in_the_origin_is_read_too(tmp_path: Path):
    assert recorded_revision(trained_on(tmp_path / "adapter", origin={"base_revision": "abc"})) == "abc"


def test_a_record_that_cannot_be_read_is_said_so(tmp_path: Path):
    (tmp_path / "training.json").write_text("[]")

    with pytest.raises(ConfigurationError, match=r"training\.json cannot be read"):
        require_same_base(tmp_path, tmp_path)
