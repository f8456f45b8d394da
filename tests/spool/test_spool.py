import logging
import multiprocessing
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from continuum.config import Settings, load_settings
from continuum.errors import StoreError
from continuum.policy import CapturePolicy, TaskPolicy
from continuum.records import Feedback, Interaction
from continuum.spool import spool as module
from continuum.spool.draining import collect
from continuum.spool.segments import Segment, abandoned
from continuum.spool.spool import Spool, Tally, default_spool, flush
from continuum.store import default_store
from continuum.store.database import Store, open_store

forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def a_draft(question: str = "Where is my order?", **fields: Any) -> dict[str, Any]:
    """A captured call on its way to the store."""
    return {
        "id": f"id of {question[:20]}",
        "task": "support",
        "started_ns": time.time_ns(),
        "messages": [{"role": "user", "content": question}],
        "response": {"role": "assistant", "content": "It arrives on Monday."},
    } | fields


def questions(store: Store, task: str = "support") -> list[str]:
    return [one.messages[0].text for one in store.interactions.scan(task, status=None)]


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


@pytest.fixture
def spool(store: Store) -> Iterator[Spool]:
    opened = Spool(lambda: store)
    yield opened
    opened.close()


@pytest.fixture
def down(store: Store) -> Iterator[tuple[Spool, Switch]]:
    """A spool whose store is down until the switch is on."""
    switch = Switch(store)
    opened = Spool(switch)
    yield opened, switch
    opened.close()


@pytest.mark.parametrize("durability", ["disk", "memory"])
def test_what_is_taken_reaches_the_store_in_order_with_its_task(spool: Spool, store: Store, durability: Any) -> None:
    asked = [f"question {n}" for n in range(1200)]

    for question in asked:
        assert spool.take(a_draft(question), durability=durability)

    assert spool.flush(20)
    assert questions(store) == asked
    assert store.tasks.names() == ["support"]
    assert spool.stats().calls == Tally(received=1200, stored=1200)


def test_a_capture_is_on_disk_before_the_call_returns(down: tuple[Spool, Switch], home: Path) -> None:
    spool, _ = down
    spool.take(a_draft("is it there?"))

    [path] = (home / "spool").glob("*.jsonl")
    assert b"is it there?" in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_feedback_and_interactions_travel_together(spool: Spool, store: Store) -> None:
    assert spool.offer(Feedback(interaction_id="one", score=4, user_id="ann"))
    spool.take(a_draft(id="one", user_id="ann"))

    assert spool.flush()
    one = store.interactions.get("one")
    assert one is not None
    [said] = store.feedback.of([one])["one"]
    assert said.score == 4
    assert said.user_id == one.user_id != "ann"
    assert spool.stats().feedback == Tally(received=1, stored=1)


def test_what_no_record_can_be_made_of_is_counted_and_holds_nothing_up(spool: Spool, store: Store) -> None:
    spool.take(a_draft("before"))
    spool.take({"id": "x", "task": "support", "messages": "none"})
    spool.take({"neither": "id nor task"})
    spool.take(a_draft("after"))

    assert spool.flush()
    assert questions(store) == ["before", "after"]
    assert spool.stats().calls == Tally(received=4, stored=2, failed=2)


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value",
    [float("nan"), 2**80, "a\x00b", "lone \ud800 surrogate", b"\xff", Hostile(), {1: {2: Hostile()}}, [[[]]], {"a", "b"}],
    ids=["nan", "huge", "nul", "surrogate", "bytes", "hostile", "keys", "lists", "set"],
)
def test_odd_values_are_kept_as_well_as_they_can_be(spool: Spool, store: Store, value: Any) -> None:
    message = {"role": "user", "content": "text", "odd": value}
    spool.take(a_draft(id="odd", messages=[message]))
    spool.take(a_draft("plain"))

    assert spool.flush()
    assert questions(store) == ["text", "plain"]


def test_fifty_megabytes_are_cut_down_and_marked(spool: Spool, store: Store) -> None:
    spool.take(a_draft(id="big", messages=[{"role": "user", "content": "x" * 50_000_000}]))
    spool.take(a_draft("small"))

    assert spool.flush(20)
    big = store.interactions.get("big")
    assert big is not None
    assert len(big.messages[0].text) < 5_000_000
    assert big.tags["truncated"] == "true"
    assert store.interactions.count("support") == 2


def test_a_clock_that_is_wrong_harms_nothing(spool: Spool, store: Store) -> None:
    for n, moment in enumerate((-(10**18), 0, 10**30, "yesterday", None)):
        spool.take(a_draft(f"{n}", started_ns=moment))

    assert spool.flush()
    assert questions(store) == ["0", "1", "2", "3", "4"]


def test_while_the_store_is_down_callers_do_not_wait_and_all_arrives_when_it_is_back(
    down: tuple[Spool, Switch], store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    spool, switch = down
    with caplog.at_level(logging.WARNING):
        for n in range(50):
            assert spool.take(a_draft(f"{n}"), durability="disk" if n % 2 else "memory")
        assert eventually(lambda: switch.attempts > 2)

    stats = spool.stats()
    assert stats.calls == Tally(received=50)
    assert stats.last_error == "the store at nowhere cannot be opened: it is off"
    assert len(caplog.records) == 1
    assert not spool.flush(0.1)

    switch.on = True
    assert spool.flush(20)
    assert sorted(map(int, questions(store))) == list(range(50))
    assert eventually(lambda: spool.stats().last_error is None)


def test_what_may_wait_in_memory_is_bounded_and_the_rest_is_counted(store: Store) -> None:
    switch = Switch(store)
    spool = Spool(switch, memory_bytes=1000)
    taken = [spool.take(a_draft(f"{n}" * 200), durability="memory") for n in range(5)]

    assert taken == [True, True, False, False, False]
    assert spool.stats().calls == Tally(received=5, dropped=3)
    switch.on = True
    assert spool.flush()
    assert store.interactions.count("support") == 2


def test_what_may_wait_on_disk_is_bounded_then_memory_takes_over(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CONTINUUM_SPOOL_MAX_BYTES", "1000")
    switch = Switch(store)
    spool = Spool(switch, memory_bytes=1000)
    for n in range(9):
        spool.take(a_draft(f"{n}" * 200))

    stats = spool.stats()
    assert 0 < stats.disk_bytes <= 1000
    assert 0 < stats.memory_bytes <= 1000
    assert stats.calls == Tally(received=9, dropped=5)
    assert not stats.on_disk
    assert "CONTINUUM_SPOOL_MAX_BYTES" in caplog.text
    switch.on = True
    assert spool.flush()
    assert store.interactions.count("support") == 4


def test_other_processes_share_the_bound(store: Store, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_SPOOL_MAX_BYTES", "1000")
    neighbour = Segment(home / "spool")
    neighbour.append(b"x" * 999 + b"\n")
    spool = Spool(lambda: store)
    spool.measure_others()

    spool.take(a_draft())

    assert spool.stats().disk_bytes == 0
    assert spool.flush()
    spool.close()
    neighbour.delete()


@pytest.mark.parametrize("obstacle", ["a file where the home should be", "a home without room"])
def test_without_a_disk_captures_wait_in_memory(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    if obstacle.startswith("a file"):
        (tmp_path / "file").touch()
        monkeypatch.setenv("CONTINUUM_HOME", str(tmp_path / "file" / "home"))
    else:
        monkeypatch.setenv("CONTINUUM_HOME", "/proc/self/home")
    monkeypatch.setenv("CONTINUUM_USER_KEY", "a key that is long enough")
    spool = Spool(lambda: store)

    spool.take(a_draft())

    assert not spool.stats().on_disk
    assert spool.flush()
    assert store.interactions.count("support") == 1
    spool.close()


def test_settings_that_cannot_be_read_do_not_reach_the_application(store: Store) -> None:
    def broken() -> Settings:
        raise StoreError("CONTINUUM_SEED is 'x'")

    spool = Spool(lambda: store, settings=broken)

    assert not spool.take(a_draft())
    assert spool.stats().calls == Tally(received=1, failed=1)


def test_many_threads_lose_nothing(spool: Spool, store: Store) -> None:
    def work(thread: int) -> None:
        for n in range(200):
            spool.take(a_draft(f"{thread}-{n}"))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert spool.flush(20)
    assert store.interactions.count("support") == 1600


def test_segments_are_rotated_and_go_when_they_are_drained(
    down: tuple[Spool, Switch], store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 2000)
    spool, switch = down
    for n in range(50):
        spool.take(a_draft(f"{n}"))
    assert len(list((home / "spool").iterdir())) > 3

    switch.on = True

    assert spool.flush(20)
    assert eventually(lambda: len(list((home / "spool").iterdir())) == 1)
    assert questions(store) == [f"{n}" for n in range(50)]
    spool.close()
    assert list((home / "spool").iterdir()) == []
    assert store.segments.names() == []


def test_closing_leaves_on_disk_what_the_store_did_not_take_from_memory_too(down: tuple[Spool, Switch], store: Store) -> None:
    spool, switch = down
    spool.take(a_draft("on disk"))
    spool.take(a_draft("in memory"), durability="memory")
    assert eventually(lambda: switch.attempts > 0)

    began = time.perf_counter()
    spool.close()

    assert time.perf_counter() - began < 0.5
    assert spool.stats().calls == Tally(received=2, left=2)
    collect(store, load_settings().spool_dir)
    assert sorted(questions(store)) == ["in memory", "on disk"]


def test_a_spool_that_was_closed_may_be_used_again(spool: Spool, store: Store) -> None:
    spool.take(a_draft("first"))
    assert spool.flush()
    spool.close()
    spool.take(a_draft("second"))

    assert spool.flush()
    assert questions(store) == ["first", "second"]


def test_stored_interactions_are_told_to_whoever_listens(spool: Spool) -> None:
    heard: list[Interaction] = []

    def fail(_: object) -> None:
        raise RuntimeError("a bad listener")

    spool.on_stored += [fail, heard.extend]
    spool.take(a_draft(user_id="ann", messages=[{"role": "user", "content": "mail ann@example.com"}]))

    assert spool.flush()
    [one] = heard
    assert one.messages[0].text == "mail [EMAIL]"


def test_the_share_of_conversations_to_capture_comes_from_the_policy(spool: Spool, store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support", capture=CapturePolicy(sample_rate=0.25)))
    assert spool.sample_rate("support") == 1.0

    spool.start()

    assert eventually(lambda: spool.sample_rate("support") == 0.25)
    assert spool.sample_rate("another") == 1.0


PROGRAM = """
import sys, time
from continuum.signals.decorator import capture
from continuum.signals.stats import capture_stats

@capture(task="support")
def handle(message):
    return "done"

handle("hello")
"""


def run_program(program: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """A program, and how long it took to end after its last line, in seconds."""
    timed = program + "\nprint(time.time(), flush=True)\n"
    process = subprocess.run(
        [sys.executable, "-c", timed], env=os.environ | environment, capture_output=True, text=True, check=True, timeout=60
    )
    return process, time.time() - float(process.stdout.split()[-1])


@pytest.mark.parametrize("durability", ["disk", "memory"])
def test_a_stream_that_is_open_when_the_program_ends_does_not_hold_it_up(home: Path, durability: str) -> None:
    program = """
import time
from continuum import capture

@capture(task="support")
def stream(question):
    yield "one"
    yield "two"

opened = stream("hello")
next(opened)
"""
    run_program(program, CONTINUUM_DURABILITY=durability)


def test_a_setting_that_makes_no_sense_is_told(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTINUUM_REDACT", "inline")
    monkeypatch.setenv("CONTINUUM_REDACTOR", "none-such")
    spool = Spool(lambda: store)

    for _ in range(3):
        assert not spool.take(a_draft())

    assert spool.stats().calls == Tally(received=3, failed=3)
    assert "no redactor 'none-such'" in (spool.stats().last_error or "")
    assert len(caplog.records) == 1


@pytest.mark.parametrize("durability", ["disk", "memory"])
def test_what_a_short_program_captures_the_next_start_stores(home: Path, store: Store, durability: str) -> None:
    run_program(PROGRAM, CONTINUUM_DURABILITY=durability)

    collect(store, home / "spool")

    assert questions(store) == ["hello"]


def test_a_program_whose_store_is_down_ends_soon_and_says_what_waits(home: Path, store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    program = PROGRAM + "\nwhile capture_stats().last_error is None:\n    time.sleep(0.01)\n"

    process, _ = run_program(program, CONTINUUM_DATABASE_URL=f"sqlite:///{tmp_path / 'file' / 'continuum.db'}")

    assert "1 captures wait on disk for the next start" in process.stderr
    collect(store, home / "spool")
    assert questions(store) == ["hello"]


def test_a_full_disk_costs_the_application_nothing_and_loses_no_capture(home: Path, store: Store) -> None:
    (home / "none").mkdir(parents=True, exist_ok=True)
    program = """
import resource, signal, time
from continuum import capture, capture_stats

@capture(task="support")
def handle(message):
    return "done"

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
for n in range(100):
    handle(f"call {n} " + "x" * 500)
full = capture_stats()
assert not full.on_disk and full.dropped == 0 and full.disk_bytes <= 20_000, full
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
time.sleep(1.1)
handle("call 100 when there is room again")
assert capture_stats().on_disk
"""
    run_program(program, CONTINUUM_DATABASE_URL=f"sqlite:///{home / 'none'}")

    collect(store, home / "spool")
    assert sorted(int(question.split()[1]) for question in questions(store)) == list(range(101))


def test_a_store_whose_schema_is_newer_is_left_alone_and_said_so(home: Path, store: Store) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    spool = Spool(lambda: open_store(f"sqlite:///{home / 'continuum.db'}"))

    spool.take(a_draft())

    assert eventually(lambda: "upgrade continuum-ai" in (spool.stats().last_error or ""))
    spool.close()
    assert spool.stats().calls == Tally(received=1, left=1)


@forks
def test_a_forked_child_spools_its_own_captures_and_leaves_its_parents_alone(store: Store) -> None:
    spool = default_spool()
    spool.take(a_draft("before the fork"))
    assert spool.flush()
    spool.take(a_draft("waiting in the parent"))

    child = os.fork()
    if child == 0:
        fresh = default_spool().stats().calls == Tally()
        default_spool().take(a_draft("in the child"))
        os._exit(0 if default_spool().flush(20) and fresh else 1)
    _, status = os.waitpid(child, 0)
    spool.take(a_draft("after the fork"))

    assert os.waitstatus_to_exitcode(status) == 0
    assert flush()
    assert sorted(questions(store)) == ["after the fork", "before the fork", "in the child", "waiting in the parent"]


@forks
def test_a_child_that_lives_on_does_not_keep_its_parents_segment(home: Path, store: Store) -> None:
    program = """
import os, sys, time
from continuum.spool.spool import default_spool
from tests.spool.test_spool import a_draft

default_spool().take(a_draft("of the parent"), durability="disk")
if os.fork() == 0:
    print("ready", flush=True)
    time.sleep(60)
os.kill(os.getpid(), 9)
"""
    broken = f"sqlite:///{home / 'none'}"
    (home / "none").mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program],
        env=os.environ | {"CONTINUUM_DATABASE_URL": broken},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "ready\n"
        process.wait(10)
        collect(store, home / "spool")
        os.killpg(process.pid, 9)

    assert questions(store) == ["of the parent"]


@forks
def test_parent_and_child_do_not_share_a_connection_to_postgres(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_DATABASE_URL", postgres_url)
    default_spool().take(a_draft(task="forked"))
    assert flush()

    children = []
    for child_number in range(3):
        child = os.fork()
        if child == 0:
            for n in range(50):
                default_spool().take(a_draft(f"{child_number}-{n}", task="forked"))
            os._exit(0 if flush(20) else 1)
        children.append(child)
    for n in range(50):
        default_spool().take(a_draft(f"parent-{n}", task="forked"))

    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
    assert flush()
    assert default_store().interactions.count("forked") == 201


def capture_in_a_worker() -> None:
    default_spool().take(a_draft("in a worker"))


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
@forks
def test_what_a_worker_process_captures_is_not_lost(store: Store, home: Path, method: str) -> None:
    worker = multiprocessing.get_context(method).Process(target=capture_in_a_worker)
    worker.start()
    worker.join(60)

    assert worker.exitcode == 0
    collect(store, home / "spool")
    assert questions(store) == ["in a worker"]


def test_a_home_that_is_removed_underneath_loses_nothing_of_what_comes_after(spool: Spool, store: Store, home: Path) -> None:
    spool.take(a_draft("before"))
    assert spool.flush()
    shutil.rmtree(home / "spool")
    spool.take(a_draft("after"))

    assert spool.flush()
    assert questions(store) == ["before", "after"]
    assert list(abandoned(home / "spool")) == []


def test_the_store_of_a_process_is_the_one_its_environment_names(home: Path) -> None:
    default_spool().take(a_draft())

    assert flush()
    assert open_store(f"sqlite:///{home / 'continuum.db'}").interactions.count("support") == 1
