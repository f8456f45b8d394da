"""Who is dead is found out, and what it held is settled once, however many look."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import insert, select, update

from continuum.store.accounts import AccountKey, Balance, settle
from continuum.store.database import Store
from continuum.store.grouped import GroupedWrites
from continuum.store.judgements import Content, claim
from continuum.store.judging_tables import reservations, workers
from continuum.store.processes import began, this_host
from continuum.timespan import utc_now

KEY = AccountKey("support", "annotation", "2026-03-01")
CONTENT = Content("k1", "c1", "judge")


def a_worker(store: Store, name: str, **fields: object) -> str:
    row = {"id": name, "host": this_host(), "pid": os.getpid(), "began": began(os.getpid()), "seen_at": utc_now()}
    with store.engine.begin() as connection:
        connection.execute(insert(workers).values(row | fields))
    return name


def the_dead(store: Store) -> list[str]:
    """One of each kind: gone, another process by now, elsewhere and silent, ended and not yet asked for."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    began_then = began(ended.pid)
    gone = ended.pid if ended.wait() == 0 else 0
    return [
        a_worker(store, "gone", pid=gone, began=began_then),
        a_worker(store, "recycled", began="some other time"),
        a_worker(store, "silent", host="elsewhere", seen_at=utc_now() - timedelta(minutes=3)),
    ]


def the_living(store: Store) -> list[str]:
    return [
        a_worker(store, "here"),
        a_worker(store, "busy", seen_at=utc_now() - timedelta(hours=1)),
        a_worker(store, "elsewhere", host="elsewhere", seen_at=utc_now() - timedelta(minutes=1)),
    ]


def left(store: Store) -> set[str]:
    with store.engine.connect() as connection:
        return set(connection.execute(select(workers.c.id)).scalars())


def test_a_process_is_written_down_once_and_found_alive(store: Store) -> None:
    name = store.workers.here()

    assert store.workers.here() == name
    assert store.workers.settle_dead() == 0
    assert left(store) == {name}


def test_the_dead_are_told_from_the_living(store: Store) -> None:
    dead, living = the_dead(store), the_living(store)

    assert store.workers.settle_dead() == len(dead)

    assert left(store) == set(living)


def test_a_process_that_has_ended_is_gone_before_its_parent_asks_for_it(store: Store) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    a_worker(store, "child", pid=child.pid, began=began(child.pid))
    assert store.workers.settle_dead() == 0

    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert store.workers.settle_dead() == 1
    child.communicate()


def test_what_a_dead_worker_held_is_spent_in_full_and_its_claims_are_free(store: Store) -> None:
    (dead, *_), (living, *_) = the_dead(store), the_living(store)
    store.accounts.reserve(KEY, dead, 300)
    store.accounts.reserve(KEY, living, 50)
    store.accounts.reserve(KEY, "batch:b1", 7)
    with store.engine.begin() as connection:
        assert claim(connection, CONTENT, dead, utc_now()).mine
        assert not claim(connection, CONTENT, living, utc_now()).mine

    store.workers.settle_dead()

    assert store.accounts.balance("support") == Balance(300, 57, unknown_micro_usd=300, batched_micro_usd=7)
    with store.engine.begin() as connection:
        assert claim(connection, CONTENT, living, utc_now()).mine


def test_many_who_settle_the_dead_at_once_book_each_reservation_once(store: Store) -> None:
    for n in range(20):
        store.accounts.reserve(KEY, a_worker(store, f"dead-{n}", began="some other time"), 10)

    with ThreadPoolExecutor(8) as pool:
        settled = sum(pool.map(lambda _: store.workers.settle_dead(), range(8)))

    assert settled == 20
    assert store.accounts.balance("support") == Balance(200, 0, unknown_micro_usd=200)
    with store.engine.connect() as connection:
        assert connection.execute(select(reservations)).all() == []


def test_one_who_was_taken_for_dead_settles_nothing_twice_and_is_alive_again_when_it_books(store: Store) -> None:
    name = store.workers.here()
    store.accounts.reserve(KEY, name, 100)
    with store.engine.begin() as connection:
        connection.execute(update(workers).values(host="elsewhere", seen_at=utc_now() - timedelta(hours=1)))
    others = Store(store.engine)
    assert others.workers.settle_dead() == 1

    with store.engine.begin() as connection:
        assert not settle(connection, KEY, name, 100, 40, 0)
        store.workers.see(connection, utc_now() + timedelta(minutes=5))

    assert store.accounts.balance("support") == Balance(100, 0, unknown_micro_usd=100)
    assert left(store) == {name}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_is_another_worker(store: Store) -> None:
    parent, (read, write) = store.workers.here(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, store.workers.here().encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(read, 100).decode() not in {"", parent}
    assert store.workers.here() == parent
    os.close(read)
    os.close(write)


async def test_a_write_that_fails_leaves_those_of_its_group_in_peace(store: Store) -> None:
    writes, began_at = GroupedWrites(store.engine), []

    def slow(connection: object) -> None:
        began_at.append(1)

    def broken(connection: object) -> None:
        raise ValueError("not to be written")

    futures = [writes.submit(work) for work in (slow, broken, slow)]

    assert isinstance(futures[1].exception(10), ValueError)
    assert [futures[n].result(10) for n in (0, 2)] == [None, None]
