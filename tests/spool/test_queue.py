import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from continuum.errors import StoreError
from continuum.records import Feedback, Interaction
from continuum.spool import queue
from continuum.spool.queue import Spool, Tally, default_spool
from continuum.store import default_store
from continuum.store.database import Store, open_store
from tests.builders import an_interaction, interactions


def eventually(condition: Callable[[], bool], timeout_s: float = 20) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


class Switch:
    """Opens a store, or refuses to while it is off."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.on = False
        self.attempts = 0

    def __call__(self) -> Store:
        self.attempts += 1
        if not self.on:
            raise StoreError("the store at nowhere cannot be opened: it is off")
        return self.store


def test_what_is_handed_over_reaches_the_store_in_order_with_its_task(store: Store) -> None:
    spool = Spool()
    batch = interactions(600)

    for one in batch:
        spool.put(one)

    assert spool.flush()
    assert [one.id for one in store.interactions.scan("support")] == [one.id for one in batch]
    assert store.tasks.names() == ["support"]
    assert spool.tally(Interaction) == Tally(received=600, stored=600)


def test_feedback_and_interactions_travel_together(store: Store) -> None:
    spool = Spool()
    said = an_interaction()
    spool.put(Feedback(interaction_id=said.id, score=4))
    spool.put(said)

    assert spool.flush()
    assert [one.score for one in store.feedback.of([said])[said.id]] == [4]
    assert spool.tally(Feedback).stored == 1


def test_records_are_made_in_the_spools_thread_and_one_that_cannot_be_is_counted(store: Store) -> None:
    spool = Spool()
    makers: list[str] = []

    def make() -> Interaction:
        makers.append(threading.current_thread().name)
        return an_interaction()

    def fail() -> Interaction:
        raise ValueError("hostile")

    spool.put(make)
    spool.put(fail)

    assert spool.flush()
    assert makers == ["continuum-spool"]
    assert spool.tally(Interaction) == Tally(received=2, stored=1, failed=1)


def test_while_the_store_is_down_callers_do_not_wait_and_what_fits_arrives_when_it_is_back(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    switch = Switch(store)
    spool = Spool(switch, max_items=5)

    with caplog.at_level(logging.WARNING):
        began = time.perf_counter()
        for one in interactions(8):
            spool.put(one)
        assert time.perf_counter() - began < 1
        assert eventually(lambda: switch.attempts > 2)

    assert spool.tally(Interaction) == Tally(received=8, dropped=3)
    assert spool.tally(Interaction).pending == 5
    assert spool.last_error == "the store at nowhere cannot be opened: it is off"
    assert len(caplog.records) == 1
    assert not spool.flush(0.1)

    switch.on = True
    assert spool.flush(20)
    assert store.interactions.count("support") == 5
    assert spool.last_error is None


def test_the_text_that_waits_is_bounded_too(store: Store) -> None:
    spool = Spool(Switch(store), max_characters=1000)

    assert spool.offer(an_interaction(), 600)
    assert not spool.offer(an_interaction(), 600)


def test_a_row_that_the_store_refuses_does_not_hold_up_the_others(postgres_url: str) -> None:
    store = open_store(postgres_url)
    good = an_interaction(task="refusals")
    spool = Spool(lambda: store)

    for one in (an_interaction(task="refusals", error="a\x00b"), good, an_interaction(task="refusals", input_tokens=2**40)):
        spool.put(one)

    assert spool.flush()
    assert [one.id for one in store.interactions.scan("refusals")] == [good.id]
    assert spool.tally(Interaction) == Tally(received=3, stored=1, failed=2)
    store.close()


def test_many_threads_lose_nothing(store: Store) -> None:
    spool = Spool()

    def work() -> None:
        for _ in range(100):
            spool.put(an_interaction())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert spool.flush(20)
    assert store.interactions.count("support") == 800


def test_closing_costs_half_a_second_where_the_store_is_down(store: Store) -> None:
    switch = Switch(store)
    spool = Spool(switch)
    spool.put(an_interaction())
    assert eventually(lambda: switch.attempts > 0)

    began = time.perf_counter()
    spool.close()

    assert 0.4 < time.perf_counter() - began < 2
    switch.on = True
    assert spool.flush(20)


def test_a_program_that_ends_at_once_has_stored_what_it_captured(home: Path) -> None:
    program = """
from continuum.signals.decorator import capture

@capture(task="support")
def handle(message):
    return "done"

handle("hello")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)

    assert [one.response.text for one in open_store(f"sqlite:///{home / 'continuum.db'}").interactions.scan("support")] == [
        "done"
    ]


def test_a_program_whose_store_is_down_ends_soon_and_says_what_it_lost(home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    program = """
import time
from continuum.signals.decorator import capture, capture_stats

@capture(task="support")
def handle(message):
    return "done"

handle("hello")
while capture_stats().last_error is None:
    time.sleep(0.01)
print(time.time(), flush=True)
"""
    address = f"sqlite:///{tmp_path / 'file' / 'continuum.db'}"
    process = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"CONTINUUM_DATABASE_URL": address},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert time.time() - float(process.stdout) < 3
    assert "1 records were not written" in process.stderr


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_writes_its_own_captures_and_leaves_its_parents_alone(store: Store) -> None:
    spool = default_spool()
    spool.put(an_interaction("before the fork"))
    assert spool.flush()
    spool.put(an_interaction("waiting in the parent"))

    child = os.fork()
    if child == 0:
        fresh = default_spool() is not spool and default_spool().tally(Interaction).received == 0
        default_spool().put(an_interaction("in the child"))
        os._exit(0 if default_spool().flush(20) and fresh else 1)
    _, status = os.waitpid(child, 0)
    spool.put(an_interaction("after the fork"))

    assert os.waitstatus_to_exitcode(status) == 0
    assert spool.flush()
    questions = [one.messages[0].text for one in store.interactions.scan("support")]
    assert sorted(questions) == ["after the fork", "before the fork", "in the child", "waiting in the parent"]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_parent_and_child_do_not_share_a_connection_to_postgres(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_DATABASE_URL", postgres_url)
    default_spool().put(an_interaction(task="forked"))
    assert queue.flush()

    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            for one in interactions(50, task="forked"):
                default_spool().put(one)
            os._exit(0 if queue.flush(20) else 1)
        children.append(child)
    for one in interactions(50, task="forked"):
        default_spool().put(one)

    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
    assert queue.flush()
    assert default_store().interactions.count("forked") == 201


def capture_in_a_worker() -> None:
    default_spool().put(an_interaction("in a worker"))


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_worker_process_writes_what_it_captured_before_it_ends(store: Store, method: str) -> None:
    worker = multiprocessing.get_context(method).Process(target=capture_in_a_worker)
    worker.start()
    worker.join(60)

    assert worker.exitcode == 0
    assert store.interactions.count("support") == 1


def test_flushing_the_process_spool_waits_for_the_store(store: Store) -> None:
    default_spool().put(an_interaction())

    assert queue.flush()
    assert store.interactions.count("support") == 1
