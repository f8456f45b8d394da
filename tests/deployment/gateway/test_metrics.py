"""What the gateway counts: for every worker together, under names that no request chooses."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from continuum.deployment.gateway.metrics import BOUNDS_S, MAX_TASKS, PRESENT_S, TELL_S, Metrics

GATEWAY = "continuum_gateway_"


def shown(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """The exposed text as Prometheus itself reads it: name and label values to value."""
    return {
        (sample.name.removeprefix(GATEWAY), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_requests_are_counted_by_task_arm_and_status() -> None:
    metrics = Metrics()
    metrics.know(["support"])
    metrics.served("support", "canary", 200, 0.3, 0.06)
    metrics.served("support", "canary", 200, 0.3)
    metrics.served("support", "production", 502, 7.0)

    seen = shown(metrics)
    assert seen["requests_total", "canary", "200", "support"] == 2
    assert seen["requests_total", "production", "502", "support"] == 1
    assert seen["request_seconds_count", "canary", "support"] == 2
    assert seen["request_seconds_sum", "canary", "support"] == 0.6
    assert seen["request_seconds_bucket", "canary", "0.25", "support"] == 0
    assert seen["request_seconds_bucket", "canary", "0.5", "support"] == 2
    assert seen["first_byte_seconds_count", "canary", "support"] == 1
    assert ("first_byte_seconds_count", "production", "support") not in seen


def test_no_request_chooses_a_name_that_is_counted_by() -> None:
    metrics = Metrics()
    metrics.know(["support"])
    for number in range(1000):
        metrics.served(f'made-up-{number}"}}\n', f"arm-{number}", 100 + number, 0.1)  # type: ignore[arg-type]
        metrics.fell_back(f"made-up-{number}")
        metrics.shadowed(f"made-up-{number}", "ok")
        metrics.tokens(f"made-up-{number}", "stable", 1, 1)

    labels = {value for _, *labels in shown(metrics) for value in labels}
    assert not [value for value in labels if "made-up" in value or "arm-" in value]
    assert sum(value for (name, *_), value in shown(metrics).items() if name == "requests_total") == 1000
    assert shown(metrics)["fallbacks_total", "other"] == 1000


def test_there_is_room_for_so_many_tasks_and_the_first_ones_stay() -> None:
    metrics = Metrics()
    metrics.know(f"task-{number}" for number in range(MAX_TASKS))
    metrics.know(["one-more", "task-0"])
    for task in ("task-0", "one-more"):
        metrics.served(task, "stable", 200, 0.1)

    assert shown(metrics)["requests_total", "stable", "200", "task-0"] == 1
    assert shown(metrics)["requests_total", "stable", "200", "other"] == 1


@pytest.mark.parametrize(
    ("status", "label"), [(200, "200"), (418, "4xx"), (499, "499"), (599, "5xx"), (999, "other"), (0, "other")]
)
def test_a_status_that_is_rare_is_counted_by_its_hundred(status: int, label: str) -> None:
    metrics = Metrics()
    metrics.served("support", "none", status, 0.1)

    assert shown(metrics)["requests_total", "none", label, "other"] == 1


def test_the_other_counts_have_their_names() -> None:
    metrics = Metrics()
    metrics.know(["support"])
    metrics.refused("too_many")
    metrics.fell_back("support")
    metrics.tokens("support", "canary", 100, 20)
    metrics.shadowed("support", "left_out")
    metrics.tripped("support", "canary")
    metrics.began()
    metrics.began()
    metrics.ended()
    metrics.show("continuum_gateway_traffic", 0.25, "support")
    metrics.show("continuum_gateway_store_up", 1)
    metrics.show("continuum_gateway_captures", 3, "lost")

    seen = shown(metrics)
    assert seen["refused_total", "too_many"] == 1
    assert seen["fallbacks_total", "support"] == 1
    assert seen["tokens_total", "canary", "input", "support"] == 100
    assert seen["tokens_total", "canary", "output", "support"] == 20
    assert seen["shadows_total", "left_out", "support"] == 1
    assert seen["trips_total", "canary", "support"] == 1
    assert seen["in_flight",] == 1
    assert seen["traffic", "support"] == 0.25
    assert seen["store_up",] == 1
    assert seen["captures", "lost"] == 3


def test_a_gauge_that_holds_no_longer_is_shown_no_longer() -> None:
    metrics = Metrics()
    metrics.show("continuum_gateway_traffic", 0.25, "support")
    metrics.forget("continuum_gateway_traffic")

    assert ("traffic", "support") not in shown(metrics)


# --- several workers -------------------------------------------------------------------------------------------------


def test_whichever_worker_is_asked_tells_what_all_have_served(tmp_path: Path) -> None:
    workers = [Metrics(tmp_path / "metrics", number) for number in range(3)]
    for number, worker in enumerate(workers):
        worker.know(["support"])
        for _ in range(number + 1):
            worker.began()
            worker.served("support", "canary", 200, 0.3, 0.06)
        worker.show("continuum_gateway_traffic", 0.25, "support")
        worker.flush()

    for worker in workers:
        seen = shown(worker)
        assert seen["requests_total", "canary", "200", "support"] == 6
        assert seen["request_seconds_bucket", "canary", "+Inf", "support"] == 6
        assert seen["in_flight",] == 6
        assert seen["traffic", "support"] == 0.25, "what all workers know is not added up"


def test_a_worker_in_the_place_of_one_that_was_killed_goes_on_from_there(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from continuum.deployment.gateway.metrics import Metrics\n"
        "metrics = Metrics(Path(sys.argv[1]), 1); metrics.know(['support']); metrics.began()\n"
        "metrics.served('support', 'stable', 200, 0.1); metrics.flush(); print('written', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()

    again = Metrics(tmp_path, 1)
    again.know(["support"])
    again.served("support", "stable", 200, 0.1)
    again.flush()

    for worker in (again, Metrics(tmp_path, 0)):
        assert shown(worker)["requests_total", "stable", "200", "support"] == 2
        assert shown(worker)["in_flight",] == 0, "what was under way died with it"


def test_what_was_under_way_in_a_worker_that_is_gone_is_not_counted_for_ever(tmp_path: Path) -> None:
    clock = [1000.0]
    gone, here = (Metrics(tmp_path, number, now=lambda: clock[0]) for number in (1, 0))
    gone.began()
    gone.served("support", "stable", 200, 0.1)
    gone.flush()
    assert shown(here)["in_flight",] == 1

    clock[0] += PRESENT_S + 1

    assert shown(here)["in_flight",] == 0
    assert shown(here)["requests_total", "stable", "200", "other"] == 1


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b'{"format": [0], "at": 1}', b"\xff\xfe", b'{"format": null'])
def test_a_damaged_file_is_left_out(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "worker-1.json").write_bytes(damage)
    metrics = Metrics(tmp_path, 0)
    metrics.served("support", "stable", 200, 0.1)

    assert shown(metrics)["requests_total", "stable", "200", "other"] == 1
    Metrics(tmp_path, 1).flush()


def test_a_folder_that_cannot_be_written_is_told_and_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "metrics").write_text("a file where the folder should be")
    metrics = Metrics(tmp_path / "metrics")
    metrics.served("support", "stable", 200, 0.1)
    metrics.flush()

    assert "cannot be written" in caplog.text
    assert shown(metrics)["requests_total", "stable", "200", "other"] == 1


@given(seconds=st.lists(st.floats(0, 500, allow_nan=False), max_size=50), workers=st.integers(1, 4))
@runs(max_examples=30)
def test_buckets_hold_what_is_not_slower_than_their_bound_however_the_requests_were_spread(
    tmp_path_factory: pytest.TempPathFactory, seconds: list[float], workers: int
) -> None:
    folder = tmp_path_factory.mktemp("metrics")
    served = [Metrics(folder, number) for number in range(workers)]
    for number, one in enumerate(seconds):
        served[number % workers].served("support", "stable", 200, one)
    for worker in served:
        worker.flush()

    seen = shown(served[0])
    for bound in BOUNDS_S if seconds else ():
        assert seen["request_seconds_bucket", "stable", str(bound), "other"] == sum(one <= bound for one in seconds)


def test_the_log_says_now_and_then_what_was_refused_and_not_more_often(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    metrics = Metrics(now=lambda: now[0])
    for _ in range(1000):
        metrics.refused("no_key")
        metrics.tell_refused()
    assert caplog.messages == []
    metrics.refused("no_request")
    now[0] += TELL_S
    metrics.tell_refused()
    assert caplog.messages == ["refused in the last 10 s: 1000 x no_key, 1 x no_request"]
    now[0] += TELL_S
    metrics.tell_refused()
    assert len(caplog.messages) == 1


def test_a_worker_that_goes_on_from_its_file_does_not_say_again_what_was_refused_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = Metrics(tmp_path)
    before.refused("no_key")
    before.flush()
    after = Metrics(tmp_path)
    after.tell_refused(0.0)
    assert caplog.messages == []
    after.refused("no_key")
    after.tell_refused(0.0)
    assert caplog.messages == ["refused in the last 0 s: 1 x no_key"]
