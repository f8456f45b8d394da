"""An artifact is published whole or not at all, and what lies at the URL is what was in the folder."""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuum.artifacts.copies import is_there, local, published
from continuum.artifacts.listing import hash_of
from continuum.artifacts.places import uri_for
from continuum.artifacts.publishing import change, publish, remove, upload
from continuum.artifacts.s3 import S3Storage
from continuum.artifacts.storage import open_storage
from continuum.errors import StoreError
from continuum.ids import new_id
from tests.artifacts.conftest import keys, s3
from tests.artifacts.trees import read_tree, write_tree

FILES = {"manifest.json": b"{}", "adapter_model.safetensors": b"weights", "sub/odd name \n\xc3\xa9.txt": b""}
PARTS = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=20).filter(
    lambda part: part not in (".", "..") and len(part.encode()) < 200
)
BYTES = st.binary(min_size=1, max_size=4).map(lambda part: os.fsdecode(part.replace(b"/", b"_").replace(b"\0", b"_")))
NAMES = st.one_of(PARTS, BYTES).filter(lambda part: part not in (".", ".."))
TREES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=200), max_size=5).filter(
    lambda files: not any(other.startswith(f"{path}/") for path in files for other in files)
)


def test_an_artifact_comes_back_as_it_was(bucket: str, tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "adapter", FILES)

    uri = publish(folder, "checkpoints", "support", "c1")

    assert uri == f"s3://{bucket}/continuum/checkpoints/support/c1"
    assert is_there(uri)
    assert not is_there(uri + "2")
    assert read_tree(local(uri)) == FILES
    assert published("checkpoints", "support") == [uri]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=TREES)
def test_any_tree_of_files_is_the_same_in_another_home(
    files: dict[str, bytes], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = write_tree(Path(place) / "adapter", files)
        monkeypatch.setenv("CONTINUUM_HOME", f"{place}/home")
        uri = publish(folder, "datasets", "support", f"tree-{new_id()}")

        monkeypatch.setenv("CONTINUUM_HOME", f"{place}/elsewhere")

        assert read_tree(local(uri)) == files


def test_in_a_folder_of_this_machine_nothing_moves(home: Path, tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "adapter", FILES)

    assert publish(folder, "checkpoints", "support", "c1") == str(folder)
    assert local(str(folder)) == folder
    assert uri_for("datasets", "support", "v1") == str(home / "datasets" / "support" / "v1")


def test_publishing_the_same_again_changes_nothing_and_another_is_refused(bucket: str, tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "adapter", FILES)
    uri = publish(folder, "checkpoints", "support", "c1")
    before = keys(bucket)

    assert publish(folder, "checkpoints", "support", "c1") == uri
    assert keys(bucket) == before

    (folder / "manifest.json").write_bytes(b"[]")
    assert not upload(folder, uri)
    with pytest.raises(StoreError, match="c1 holds another artifact already; move that one away"):
        publish(folder, "checkpoints", "support", "c1")
    assert keys(bucket) == before
    assert read_tree(local(uri)) == FILES


def test_of_many_who_take_a_name_at_once_one_has_it(bucket: str, tmp_path: Path) -> None:
    uri = uri_for("datasets", "support", "support_training_v1")
    folders = [write_tree(tmp_path / str(n), {"rows": b"%d" % n}) for n in range(6)]

    with ThreadPoolExecutor(6) as threads:
        won = [folder for folder, done in zip(folders, threads.map(lambda one: upload(one, uri), folders), strict=True) if done]

    assert len(won) == 1
    assert read_tree(local(uri)) == read_tree(won[0])
    assert len(keys(bucket)) == 2


def test_a_link_in_a_folder_is_not_followed(bucket: str, tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "adapter", FILES)
    (folder / "passwords").symlink_to("/etc/passwd")

    with pytest.raises(StoreError, match="passwords is no plain file"):
        publish(folder, "checkpoints", "support", "c1")
    assert keys(bucket) == []


def test_a_file_that_is_too_large_for_one_request_is_sent_in_parts_and_read_back(bucket: str, tmp_path: Path) -> None:
    path = write_tree(tmp_path / "adapter", {"large": os.urandom(9 * 2**20)}) / "large"
    digest = "0" * 64

    with pytest.raises(StoreError, match="does not hold what was sent to it"):
        S3Storage(s3(), largest_put=2**20).put_file(f"s3://{bucket}/large", path, digest)

    S3Storage(s3(), largest_put=2**20).put_file(f"s3://{bucket}/large", path, hash_of(path))
    assert s3().head_object(Bucket=bucket, Key="large")["ETag"].endswith('-2"')


def test_a_file_that_changes_while_it_is_sent_is_refused(bucket: str, tmp_path: Path) -> None:
    path = write_tree(tmp_path / "adapter", {"one": b"other bytes than were hashed"}) / "one"

    with pytest.raises(StoreError, match="one does not hold"):
        open_storage(f"s3://{bucket}/one").put_file(f"s3://{bucket}/one", path, "0" * 64)


# --- change, remove, leftovers ---------------------------------------------------------------------------------------------


def test_a_change_takes_the_place_of_what_was_there_and_the_old_bytes_are_gone(bucket: str, tmp_path: Path, home: Path) -> None:
    uri = publish(write_tree(tmp_path / "golden", {"rows": b"secret", "other": b"kept"}), "datasets", "support", "g1")
    local(uri)

    def erase(folder: Path) -> int:
        (folder / "rows").write_bytes(b"left")
        (folder / "new").write_bytes(b"more")
        return 7

    assert change(uri, erase) == 7

    assert read_tree(local(uri)) == {"rows": b"left", "other": b"kept", "new": b"more"}
    stored = [s3().get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys(bucket)]
    assert not any(b"secret" in one for one in stored)
    assert not any(b"secret" in one for one in read_tree(home / "artifacts").values())
    assert len(stored) == 4


def test_changes_at_the_same_moment_all_count(bucket: str, tmp_path: Path) -> None:
    uri = publish(write_tree(tmp_path / "golden", {"rows": b""}), "datasets", "support", "g1")

    def add(number: int) -> None:
        change(uri, lambda folder: (folder / str(number)).write_bytes(b"%d" % number))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add, range(8)))

    assert read_tree(local(uri)) == {"rows": b""} | {str(n): b"%d" % n for n in range(8)}
    assert len(keys(bucket)) == 10


def test_an_edit_that_fails_changes_nothing(bucket: str, tmp_path: Path, home: Path) -> None:
    uri = publish(write_tree(tmp_path / "golden", {"rows": b"whole"}), "datasets", "support", "g1")

    def fail(folder: Path) -> None:
        (folder / "rows").write_bytes(b"half")
        raise StoreError("no")

    with pytest.raises(StoreError, match="no"):
        change(uri, fail)
    assert read_tree(local(uri)) == {"rows": b"whole"}
    assert not list((home / "artifacts").glob(".change-*"))


def test_what_is_removed_is_gone_here_too(bucket: str, tmp_path: Path, home: Path) -> None:
    uri = publish(write_tree(tmp_path / "golden", FILES), "datasets", "support", "g1")
    local(uri)

    remove(uri)

    assert not is_there(uri)
    assert keys(bucket) == []
    assert b"weights" not in read_tree(home / "artifacts").values()
    with pytest.raises(StoreError, match="g1 holds no complete artifact"):
        local(uri)


def test_objects_without_a_listing_are_deleted_when_they_are_a_day_old(bucket: str, tmp_path: Path) -> None:
    place = "continuum/datasets/support"
    for key in (f"{place}/killed/objects/a-0", f"{place}/g1/objects/other-0", "continuum/datasets/sales/killed/objects/a-0"):
        s3().put_object(Bucket=bucket, Key=key, Body=b"left over")
    folder = write_tree(tmp_path / "golden", FILES)
    tomorrow = datetime.now(UTC) + timedelta(hours=25)

    uri = publish(folder, "datasets", "support", "g1")
    assert f"{place}/killed/objects/a-0" in keys(bucket)

    upload(write_tree(tmp_path / "second", FILES), uri_for("datasets", "support", "g2"), now=lambda: tomorrow)
    left = keys(bucket)
    assert f"{place}/killed/objects/a-0" not in left
    assert f"{place}/g1/objects/other-0" not in left
    assert "continuum/datasets/sales/killed/objects/a-0" in left
    assert read_tree(local(uri)) == FILES
    assert read_tree(local(uri_for("datasets", "support", "g2"))) == FILES
