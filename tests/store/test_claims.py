import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from continuum.store.backfills import BackfillRow
from continuum.store.claims import holder_name, is_gone
from continuum.store.database import Store
from continuum.store.processes import this_host
from tests.builders import NOON

HOUR = timedelta(hours=1)
NAMES_ITSELF = "import sys, continuum.store.claims as c; print(c.holder_name(), flush=True); sys.stdin.read()"


@pytest.fixture
def another() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process of this host, and how it names itself."""
    with subprocess.Popen(
        [sys.executable, "-c", NAMES_ITSELF], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        yield child, child.stdout.readline().strip()
        child.kill()


def test_a_holder_is_gone_once_its_process_was_killed(another: tuple[subprocess.Popen[str], str]) -> None:
    child, name = another
    assert name.startswith(f"process {child.pid} of ")
    assert not is_gone(name)

    child.kill()
    child.wait()

    assert is_gone(name)


def test_two_holders_of_one_process_are_two_and_both_are_there() -> None:
    one, two = holder_name(), holder_name()

    assert one != two
    assert not is_gone(one)
    assert not is_gone(two)


@pytest.mark.parametrize(
    ("holder", "gone"),
    [
        (f"process {os.getpid()} of {this_host()}, since another boot 7, x", True),
        (f"process {os.getpid()} of elsewhere, since another boot 7, x", False),
        (f"process {os.getpid()} of {this_host()}, since , x", False),
        (f"process {os.getpid()} of {this_host()}", False),
        ("dagster run 7", False),
        ("", False),
    ],
    ids=[
        "a later one got its number",
        "another host",
        "the system does not say since when",
        "cut short",
        "no process",
        "nothing",
    ],
)
def test_only_a_process_of_this_host_can_be_seen_to_have_ended(holder: str, gone: bool) -> None:
    assert is_gone(holder) is gone


def test_of_many_that_find_a_claims_process_gone_one_takes_it(store: Store, another: tuple[subprocess.Popen[str], str]) -> None:
    child, dead = another
    store.tasks.ensure("support")
    assert store.tasks.claim("support", dead, lasts=HOUR, now=lambda: NOON)
    names = [holder_name() for _ in range(8)]
    assert not store.tasks.claim("support", names[0], lasts=HOUR, now=lambda: NOON)
    told = store.tasks.get("support").turned_by(NOON)
    assert told == f"process {child.pid} of {this_host()}"

    child.kill()
    child.wait()
    assert store.tasks.get("support").turned_by(NOON) is None
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda name: store.tasks.claim("support", name, lasts=HOUR, now=lambda: NOON), names))

    assert taken.count(True) == 1
    assert store.tasks.get("support").claimed_by == names[taken.index(True)]


def test_a_backfill_whose_process_was_killed_is_free_at_once(store: Store, another: tuple[subprocess.Popen[str], str]) -> None:
    child, dead = another
    row = BackfillRow(task="support", asked_by="ann")
    store.backfills.add(row)
    assert store.backfills.claim(row.id, dead, lasts=HOUR, now=lambda: NOON)
    assert not store.backfills.claim(row.id, holder_name(), lasts=HOUR, now=lambda: NOON)
    assert not store.backfills.move(row.id, ("working",), "incomplete", now=lambda: NOON)

    child.kill()
    child.wait()

    assert store.backfills.claim(row.id, holder_name(), lasts=HOUR, now=lambda: NOON)
