"""What is read of an artifact at a URL is what was published, whatever befell the copy, the object or the row."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from continuum.artifacts.copies import local, sweep
from continuum.artifacts.listing import Listing
from continuum.artifacts.publishing import change, publish
from continuum.errors import ConfigurationError, MissingExtra, StoreError
from tests.artifacts.conftest import s3
from tests.artifacts.trees import read_tree, write_tree

FILES = {"manifest.json": b"{}", "weights": b"0123456789" * 1000, "deep/er/file": b"x"}
HOUR = 3600.0


@pytest.fixture
def uri(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An artifact that another machine published."""
    monkeypatch.setenv("CONTINUUM_HOME", str(tmp_path / "writer"))
    found = publish(write_tree(tmp_path / "adapter", FILES), "checkpoints", "support", "c1")
    monkeypatch.setenv("CONTINUUM_HOME", str(tmp_path / "home"))
    return found


def object_of(bucket: str, path: str) -> str:
    """The key of a file's object."""
    listing = listing_of(bucket)
    return f"continuum/checkpoints/support/c1/objects/{listing['files'][path]['object']}"


def listing_of(bucket: str) -> dict[str, Any]:
    return json.loads(s3().get_object(Bucket=bucket, Key="continuum/checkpoints/support/c1/artifact.json")["Body"].read())


def rewrite_listing(bucket: str, **fields: Any) -> None:
    text = json.dumps(listing_of(bucket) | fields)
    s3().put_object(Bucket=bucket, Key="continuum/checkpoints/support/c1/artifact.json", Body=text.encode())


def used(folder: Path, at: float) -> None:
    os.utime(folder, (at, at))


# --- copies --------------------------------------------------------------------------------------------------------------------


def test_a_copy_is_fetched_once(uri: str, bucket: str) -> None:
    copy = local(uri)
    s3().delete_object(Bucket=bucket, Key=object_of(bucket, "weights"))

    assert local(uri) == copy
    assert read_tree(copy) == FILES


@pytest.mark.parametrize("harm", ["alter", "cut", "remove", "add", "replace by a folder", "replace a folder", "link"])
def test_a_copy_that_was_harmed_is_mended(uri: str, harm: str, tmp_path: Path) -> None:
    copy = local(uri)
    if harm == "alter":
        (copy / "weights").write_bytes(b"9123456789" * 1000)
    elif harm == "cut":
        (copy / "weights").write_bytes(b"01234")
    elif harm == "remove":
        (copy / "weights").unlink()
    elif harm == "add":
        write_tree(copy, {"deep/more": b"not published"})
    elif harm == "replace by a folder":
        (copy / "weights").unlink()
        write_tree(copy / "weights", {"inside": b""})
    elif harm == "replace a folder":
        (copy / "deep" / "er" / "file").unlink()
        (copy / "deep" / "er").rmdir()
        (copy / "deep" / "er").write_bytes(b"a file")
    else:
        (copy / "weights").unlink()
        write_tree(tmp_path / "outside", {"weights": FILES["weights"]})
        (copy / "weights").symlink_to(tmp_path / "outside" / "weights")

    assert read_tree(local(uri)) == FILES
    assert not any(path.is_symlink() for path in copy.rglob("*"))


def test_processes_that_fetch_the_same_at_once_all_have_it(uri: str, home: Path) -> None:
    program = "import sys; from continuum.artifacts.copies import local; print(local(sys.argv[1]))"
    running = [subprocess.Popen([sys.executable, "-c", program, uri], stdout=subprocess.PIPE, text=True) for _ in range(4)]

    said = {process.communicate(timeout=120)[0].strip() for process in running}

    assert [process.returncode for process in running] == [0, 0, 0, 0]
    (copy,) = map(Path, said)
    assert read_tree(copy) == FILES
    assert not list(home.rglob(".draft-*"))


def test_what_a_killed_process_fetched_is_cleared_away(uri: str, home: Path) -> None:
    copy = local(uri)
    write_tree(copy.with_name(".draft-killed"), {"half": b"0"})
    (copy / "weights").unlink()

    local(uri)

    assert not list(home.rglob(".draft-*"))


# --- what is refused -------------------------------------------------------------------------------------------------------


def test_an_altered_object_is_refused_by_the_name_of_its_file(uri: str, bucket: str, home: Path) -> None:
    s3().put_object(Bucket=bucket, Key=object_of(bucket, "weights"), Body=b"9123456789" * 1000)

    with pytest.raises(StoreError, match=f"{uri}: the file 'weights' was altered after it was published"):
        local(uri)
    assert not list(home.rglob("weights"))


def test_an_object_that_is_longer_or_missing_is_refused(uri: str, bucket: str) -> None:
    s3().put_object(Bucket=bucket, Key=object_of(bucket, "weights"), Body=FILES["weights"] + b"more")
    with pytest.raises(StoreError, match="holds more than the 10000 bytes that it should"):
        local(uri)

    s3().delete_object(Bucket=bucket, Key=object_of(bucket, "weights"))
    with pytest.raises(StoreError, match=r"objects/.* is missing; restore it from a backup"):
        local(uri)


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../outside", "", ".", "a//b", "./a", "a/", "..", "nul\0"])
def test_a_file_that_would_lie_outside_is_refused(uri: str, bucket: str, path: str, tmp_path: Path) -> None:
    entry = listing_of(bucket)["files"]["weights"]
    rewrite_listing(bucket, files={path: entry})

    with pytest.raises(StoreError, match="would lie outside the artifact"):
        local(uri)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"files": []},
        {"files": {"a": {"sha256": "0" * 64, "size": -1, "object": "x"}}},
        {"files": {"a": {"sha256": "0" * 63, "size": 1, "object": "x"}}},
        {"files": {"a": {"sha256": "0" * 64, "size": 1, "object": "../../other"}}},
        {"files": {"a": None}},
        {"retired": ["../../other"]},
    ],
)
def test_a_listing_that_is_none_is_refused(uri: str, bucket: str, fields: dict[str, Any]) -> None:
    rewrite_listing(bucket, **fields)

    with pytest.raises(StoreError, match=r"artifact\.json cannot be read as what an artifact consists of"):
        local(uri)


def test_a_listing_of_another_format_says_so(uri: str, bucket: str) -> None:
    rewrite_listing(bucket, format=2)

    with pytest.raises(StoreError, match="is of format 2, this Continuum reads 1; bring Continuum up to date"):
        local(uri)


def test_a_file_in_the_place_of_a_folder_of_another_is_no_way_out(uri: str, bucket: str) -> None:
    entry = listing_of(bucket)["files"]["deep/er/file"]
    rewrite_listing(bucket, files={"a": entry, "a/b": entry})

    with pytest.raises(StoreError):
        local(uri)


@pytest.mark.parametrize(
    "elsewhere",
    ["s3://other-bucket/continuum/checkpoints/support/c1", "file-of:///x", "memory://x/y", "http://127.0.0.1/c1", "s3://"],
)
def test_a_row_that_leads_elsewhere_is_not_followed(bucket: str, elsewhere: str) -> None:
    with pytest.raises(StoreError, match=r"is not looked for: CONTINUUM_ARTIFACTS_URL leads to|is no place of an artifact"):
        local(elsewhere)


@pytest.mark.parametrize("tail", ["../c1", "a//b", "a?versionId=1", "a#b", "a%2e", "a\\b", "a\nb", "u@b"])
def test_a_row_with_an_odd_url_is_not_followed(bucket: str, tail: str) -> None:
    with pytest.raises(StoreError, match="is no place of an artifact; restore the store's row of it from a backup"):
        local(f"s3://{bucket}/{tail}")


def test_without_the_setting_no_url_is_followed(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTINUUM_ARTIFACTS_URL")

    with pytest.raises(StoreError, match="CONTINUUM_ARTIFACTS_URL names no URL here; set it to the place"):
        local(uri)


# --- errors ----------------------------------------------------------------------------------------------------------------


def test_a_bucket_that_is_missing_is_named(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_ARTIFACTS_URL", "s3://nobody-made-it/x")

    with pytest.raises(StoreError, match="the bucket 'nobody-made-it' is not there; create it, or correct"):
        local("s3://nobody-made-it/x/datasets/support/v1")


def test_a_server_that_is_down_is_said_to_be(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")

    with pytest.raises(StoreError, match=r"no answer for s3://artifacts-.* \(EndpointConnectionError\); look at the network"):
        local(uri)


def test_without_credentials_it_is_said_where_they_are_looked_for(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")

    with pytest.raises(StoreError, match=r"no credentials for s3://artifacts-.* are found; set AWS_ACCESS_KEY_ID"):
        local(uri)


def test_access_that_is_denied_says_what_to_allow(uri: str, bucket: str, home: Path) -> None:
    from botocore.exceptions import ClientError

    from continuum.artifacts.s3 import S3Storage

    # The server of the tests lets everybody in, so that what S3 answers to those whom it does not is given by hand.
    class Denying:
        def get_object(self, **_: object) -> None:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "key tester"}}, "GetObject")

    with pytest.raises(StoreError, match="access to s3://b/k is denied; let these credentials do s3:GetObject") as denied:
        S3Storage(Denying()).read("s3://b/k")
    assert "tester" not in str(denied.value)


def test_a_disk_that_is_full_is_said_to_be(uri: str, home: Path) -> None:
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)); "
        "from continuum.artifacts.copies import local; local(sys.argv[1])"
    )

    ended = subprocess.run([sys.executable, "-c", program, uri], capture_output=True, text=True, timeout=120)

    assert "StoreError: " in ended.stderr
    assert "cannot be written (File too large); make room" in ended.stderr
    assert not list(home.rglob("weights"))


def test_more_than_the_disk_holds_is_not_begun(uri: str, bucket: str, home: Path) -> None:
    files = listing_of(bucket)["files"]
    rewrite_listing(bucket, files=files | {"huge": files["weights"] | {"size": 2**60}})

    with pytest.raises(StoreError, match=r"has room for \d+ bytes and the artifact takes 11529215046068\d+; make room"):
        local(uri)
    assert not list(home.rglob("weights"))


@pytest.mark.parametrize(
    "value", ["s3://key:secret@bucket/x", "s3://secret@bucket/x", "s3://bucket/x?secret=1", "s3://bucket/x#secret"]
)
def test_a_url_with_a_secret_in_it_is_refused_and_not_shown(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_ARTIFACTS_URL", value)

    with pytest.raises(ConfigurationError, match="holds a user, a password or a query; leave them out") as refused:
        local("anything://x/y")
    assert "secret" not in str(refused.value).replace("AWS_SECRET", "")


@pytest.mark.parametrize("value", ["s3://", "s3:///x", "s3://bucket/../x", "s3://bucket/a//b", "S 3://bucket/x", "s3://b/a%2e"])
def test_a_url_that_is_none_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_ARTIFACTS_URL", value)

    with pytest.raises(ConfigurationError, match="characters that are no URL; it must be like s3://bucket/folder"):
        local("anything://x/y")


# --- room ------------------------------------------------------------------------------------------------------------------


def test_the_longest_unused_copies_go_when_there_is_no_room(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_tree(tmp_path / "adapter", FILES)
    uris = [publish(folder, "checkpoints", "support", f"c{n}") for n in range(4)]
    copies = [local(uri) for uri in uris]
    at = time.time()
    for age, copy in zip((9, 2, 5, 0.1), copies, strict=True):
        used(copy, at - age * HOUR)

    monkeypatch.setenv("CONTINUUM_ARTIFACTS_MAX_BYTES", "45000")
    assert sweep(at=at) == 0
    monkeypatch.setenv("CONTINUUM_ARTIFACTS_MAX_BYTES", "25000")
    assert sweep(at=at) == 2
    assert [copy.exists() for copy in copies] == [False, True, False, True]

    monkeypatch.setenv("CONTINUUM_ARTIFACTS_MAX_BYTES", "0")
    assert sweep(at=at) == 1
    assert copies[3].exists()
    assert read_tree(local(uris[0])) == FILES


def test_a_copy_that_nobody_asks_for_goes_after_a_month(uri: str) -> None:
    copy = local(uri)
    at = copy.stat().st_mtime

    assert sweep(at=at + 29 * 24 * HOUR) == 0
    assert sweep(at=at + 31 * 24 * HOUR) == 1
    assert not copy.exists()


def test_what_somebody_else_keeps_beside_the_copies_stays(home: Path) -> None:
    write_tree(home / "artifacts" / "datasets" / "support" / "support_training_v1", FILES)
    write_tree(home / "artifacts" / ("0" * 64) / "mine", FILES)

    assert sweep(at=time.time() + 365 * 24 * HOUR) == 0
    assert len(read_tree(home / "artifacts")) == 2 * len(FILES)


def test_a_draft_of_a_killed_process_goes_after_an_hour(home: Path) -> None:
    write_tree(home / "artifacts" / ".change-killed" / ".draft-files", FILES)
    write_tree(home / "artifacts" / ("0" * 64) / ".draft-killed", FILES)

    assert sweep() == 0
    assert sweep(at=time.time() + 2 * HOUR) == 2
    assert read_tree(home / "artifacts") == {f"{'0' * 64}/lock": b""}


def test_a_copy_of_an_earlier_state_goes_an_hour_after_it_was_last_read(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = local(uri)
    monkeypatch.setenv("CONTINUUM_HOME", str(tmp_path / "writer"))
    change(uri, lambda folder: (folder / "weights").write_bytes(b"erased"))
    monkeypatch.setenv("CONTINUUM_HOME", str(tmp_path / "home"))

    after = local(uri)
    assert (after / "weights").read_bytes() == b"erased"
    assert before.exists()
    used(before, time.time() - 2 * HOUR)
    assert sweep() == 1
    assert not before.exists()


def test_a_listing_is_read_as_it_was_written() -> None:
    data = b'{"files": {"a\\udcff": {"object": "x-0", "sha256": "%s", "size": 3}}, "format": 1, "retired": ["y"]}' % (b"0" * 64)

    listing = Listing.from_bytes("s3://b/k", data)

    assert Listing.from_bytes("s3://b/k", listing.to_bytes()) == listing
    assert os.fsencode(next(iter(listing.files))) == b"a\xff"


# --- other file systems ----------------------------------------------------------------------------------------------------


def test_another_file_system_serves_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_ARTIFACTS_URL", f"memory://{tmp_path.name}")
    folder = write_tree(tmp_path / "adapter", FILES)

    uri = publish(folder, "checkpoints", "support", "c1")
    monkeypatch.setenv("CONTINUUM_HOME", str(tmp_path / "elsewhere"))

    assert read_tree(local(uri)) == FILES
    change(uri, lambda draft: (draft / "weights").write_bytes(b"fewer"))
    assert read_tree(local(uri)) == FILES | {"weights": b"fewer"}
    with pytest.raises(StoreError, match="c1 holds another artifact already"):
        publish(folder, "checkpoints", "support", "c1")
    with pytest.raises(StoreError, match="c2 holds no complete artifact"):
        local(uri.replace("c1", "c2"))


def test_a_file_system_that_is_not_known_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_ARTIFACTS_URL", "carrier-pigeon://loft/x")

    with pytest.raises((StoreError, MissingExtra), match="carrier-pigeon:// is nothing that fsspec knows"):
        local("carrier-pigeon://loft/x/checkpoints/support/c1")
