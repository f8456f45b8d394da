import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from continuum.spool import spool as module
from continuum.spool.spool import Spool, default_spool
from continuum.store import default_store
from continuum.store.database import Store
from tests.spool.test_spool import a_draft, forks, questions

OPEN_AND_CLOSE = "import sys; from continuum.store.database import open_store; open_store(sys.argv[1]).close()"

FORK_WHILE_OPENING = """
import os, signal, socket, sys, threading
from continuum.store import store_at

silent = socket.create_server(("127.0.0.1", 0))
url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/nowhere"
threading.Thread(target=store_at, args=(url,), daemon=True).start()
silent.accept()  # from here on the other thread waits for an answer that never comes
child = os.fork()
if child == 0:
    signal.alarm(30)
    store_at(sys.argv[1]).tasks.names()
    os._exit(0)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) % 256)
"""


def open_here(home: Path) -> list[str]:
    """The files of a home's database that this process has open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:  # the one that lists the folder
            continue
    return [path for path in found if path.startswith(str(home / "continuum.db"))]


def open_in_a_child(home: Path) -> int:
    """How many of them a child inherits."""
    child = os.fork()
    if child == 0:
        os._exit(len(open_here(home)))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@forks
def test_a_child_inherits_no_open_database(home: Path, store: Store) -> None:
    default_store().tasks.names()
    assert open_here(home)

    assert open_in_a_child(home) == 0
    assert default_store().tasks.names() == []


@forks
def test_a_fork_waits_for_the_batch_that_is_being_stored(home: Path, store: Store) -> None:
    in_the_midst = threading.Event()
    spool = Spool()

    def read_for_a_while(_: object) -> None:
        with default_store().engine.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM interactions")
            in_the_midst.set()
            # Longer than a fork would take that did not wait.
            threading.Event().wait(1)

    spool.on_stored.append(read_for_a_while)
    spool.take(a_draft())
    assert in_the_midst.wait(30)

    assert open_in_a_child(home) == 0
    spool.close()


@forks
def test_a_child_of_a_fork_that_could_not_wait_loses_nothing(home: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FORK_WAIT_S", 0.05)
    in_the_midst, go_on = threading.Event(), threading.Event()

    def read_for_long(_: object) -> None:
        with default_store().engine.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM interactions")
            in_the_midst.set()
            go_on.wait(60)

    spool = default_spool()
    spool.on_stored.append(read_for_long)
    spool.take(a_draft("in the parent"))
    assert in_the_midst.wait(30)
    told, tell = os.pipe()
    asked, ask = os.pipe()
    child = os.fork()
    if child == 0:
        default_spool().on_stored.clear()
        for question in ("early in the child", "late in the child"):
            default_spool().take(a_draft(question))
            stored = default_spool().flush(60)
            os.write(tell, b"x")
            os.read(asked, 1)
        os._exit(0 if stored else 1)
    os.read(told, 1)
    go_on.set()
    spool.on_stored.clear()
    assert spool.flush(30)
    default_store().close()
    store.close()
    # Whoever closes a database on SQLite last removes the log of what was written: not while the child has it open.
    subprocess.run([sys.executable, "-c", OPEN_AND_CLOSE, f"sqlite:///{home / 'continuum.db'}"], check=True)
    os.write(ask, b"x")
    os.read(told, 1)
    os.write(ask, b"x")

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for end in (told, tell, asked, ask):
        os.close(end)
    assert sorted(questions(store)) == ["early in the child", "in the parent", "late in the child"]


@forks
@pytest.mark.timeout(90)
def test_a_child_made_while_another_thread_opens_a_store_that_hangs_can_open_its_own(home: Path, store: Store) -> None:
    url = f"sqlite:///{home / 'continuum.db'}"
    ended = subprocess.run([sys.executable, "-c", FORK_WHILE_OPENING, url], capture_output=True, text=True, timeout=80)
    assert ended.returncode == 0, ended.stderr
