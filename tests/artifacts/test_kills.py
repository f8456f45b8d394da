"""Whoever is killed while publishing or changing an artifact leaves nothing that counts, and the next goes on."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from continuum.artifacts.copies import is_there, local
from continuum.artifacts.places import uri_for
from continuum.artifacts.publishing import change, publish, upload
from tests.artifacts.conftest import keys, s3
from tests.artifacts.trees import read_tree, write_tree

pytestmark = pytest.mark.slow

FILES = {"manifest.json": b"{}", "first": b"1" * 1_000_000, "second": b"2" * 1_000_000}
PUBLISH = "import sys; from pathlib import Path; from continuum.artifacts.publishing import publish; "
PUBLISH += "publish(Path(sys.argv[1]), 'checkpoints', 'support', 'c1')"
CHANGE = "import sys; from pathlib import Path; from continuum.artifacts.publishing import change; "
CHANGE += "change(sys.argv[1], lambda folder: (folder / 'first').write_bytes(b'left' * 250_000))"
FETCH = "import sys; from continuum.artifacts.copies import local; local(sys.argv[1])"


class Wire:
    """Carries bytes to a server and back, and kills who sends them once it has carried enough."""

    def __init__(self, address: str, *, sent: int | None = None, received: int | None = None) -> None:
        host, port = address.removeprefix("http://").split(":")
        self.left = {"sent": sent, "received": received}
        self.server = (host, int(port))
        self.process: subprocess.Popen[bytes] | None = None
        self.door = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.door.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self.door.accept()
                server = socket.create_connection(self.server)
            except OSError:
                return
            for source, target, way in ((caller, server, "sent"), (server, caller, "received")):
                threading.Thread(target=self._carry, args=(source, target, way), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, way: str) -> None:
        try:
            while piece := source.recv(4096):
                left = self.left[way]
                if left is not None:
                    self.left[way] = left - len(piece)
                    if left - len(piece) < 0:
                        # What is on its way ends in the middle, as when a machine goes down.
                        assert self.process is not None
                        self.process.send_signal(signal.SIGKILL)
                        break
                target.sendall(piece)
        except OSError:
            pass
        finally:
            for one in (source, target):
                one.close()


@contextmanager
def killed(wire: Wire, program: str, argument: str) -> Iterator[None]:
    """A process that the wire kills."""
    environment = os.environ | {"AWS_ENDPOINT_URL_S3": wire.address}
    process = wire.process = subprocess.Popen([sys.executable, "-c", program, argument], env=environment)
    assert process.wait(timeout=120) == -signal.SIGKILL
    wire.door.close()
    yield


@pytest.mark.parametrize("sent", [0, 500, 3_000, 600_000, 1_004_000, 1_500_000, 2_002_000])
def test_an_upload_that_is_killed_counts_for_nothing_and_is_done_again(
    bucket: str, s3_address: str, tmp_path: Path, home: Path, sent: int
) -> None:
    folder = write_tree(tmp_path / "adapter", FILES)

    with killed(Wire(s3_address, sent=sent), PUBLISH, str(folder)):
        assert not is_there(uri_for("checkpoints", "support", "c1"))

    uri = publish(folder, "checkpoints", "support", "c1")
    assert read_tree(local(uri)) == FILES

    tomorrow = datetime.now(UTC) + timedelta(hours=25)
    upload(write_tree(tmp_path / "other", {"x": b""}), uri_for("checkpoints", "support", "c2"), now=lambda: tomorrow)
    # Three objects and the listing of the one, an object and the listing of the other.
    assert len(keys(bucket)) == 6
    assert read_tree(local(uri)) == FILES


@pytest.mark.parametrize("sent", [0, 700, 400_000, 1_003_000, 1_005_500, 1_004_500, 1_006_000])
def test_a_change_that_is_killed_is_made_or_not_and_leaves_no_old_bytes_once_it_is_repeated(
    bucket: str, s3_address: str, tmp_path: Path, sent: int
) -> None:
    uri = publish(write_tree(tmp_path / "golden", FILES), "datasets", "support", "g1")
    left = FILES | {"first": b"left" * 250_000}

    with killed(Wire(s3_address, sent=sent), CHANGE, uri):
        assert read_tree(local(uri)) in (FILES, left)

    change(uri, lambda folder: (folder / "first").write_bytes(left["first"]))
    assert read_tree(local(uri)) == left
    assert not any(b"1111" in s3().get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys(bucket))


@pytest.mark.parametrize("received", [0, 1_200, 500_000, 1_500_000])
def test_a_fetch_that_is_killed_leaves_no_copy_that_is_taken_for_whole(
    bucket: str, s3_address: str, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, received: int
) -> None:
    monkeypatch.setenv("CONTINUUM_HOME", str(tmp_path / "writer"))
    uri = publish(write_tree(tmp_path / "adapter", FILES), "checkpoints", "support", "c1")
    monkeypatch.setenv("CONTINUUM_HOME", str(home))

    with killed(Wire(s3_address, received=received), FETCH, uri):
        assert not any((folder / "second").exists() for folder in home.glob("artifacts/*/[!.]*"))

    assert read_tree(local(uri)) == FILES
    assert not list(home.rglob(".draft-*"))
