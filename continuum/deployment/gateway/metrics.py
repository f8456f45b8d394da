"""What the gateway counts, for Prometheus.

Counting is a few additions to numbers in memory. Each worker writes its own down now and then, and whichever worker is asked
adds up what all have written: no worker waits for another, and one that is started again goes on from its own file.
"""

import json
import logging
import os
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from continuum.config import make_private

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds of the histograms' buckets, in seconds; what is slower falls into one more."""
MAX_TASKS = 200
"""Tasks that are counted by name; the rest is counted together, and so is what no registered task is called."""
OTHER = "other"
OWN_STATUS = frozenset({200, 400, 401, 403, 404, 408, 413, 415, 422, 429, 499, 500, 502, 503, 504, 508})
"""Statuses that are counted one by one; others by their hundred, such as `4xx`."""
TELL_S = 10.0
"""How often the log says what was refused, where anything was."""
PRESENT_S = 10.0
"""A worker that has written nothing for so long is gone, and has no requests under way."""
FORMAT = [1, *BOUNDS_S]
CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"

Arm = Literal["canary", "stable", "production", "none"]
ARMS = frozenset({"canary", "stable", "production", "none"})

COUNTERS = {
    "continuum_gateway_refused": ("Requests that were refused before any model was asked.", ("reason",)),
    "continuum_gateway_fallbacks": ("Requests that the arm behind answered, because the chosen one did not.", ("task",)),
    "continuum_gateway_tokens": ("Tokens that the models say they read and wrote.", ("task", "arm", "kind")),
    "continuum_gateway_shadows": ("Requests that a candidate was to answer in the shadow.", ("task", "outcome")),
    "continuum_gateway_trips": ("Breakers that opened.", ("task", "arm")),
}
GAUGES = {
    "continuum_gateway_in_flight": ("Requests under way.", ()),
    "continuum_gateway_captures": ("Captures of the workers that run, by what became of them.", ("outcome",)),
    "continuum_gateway_breakers_open": ("Workers in which the breaker of an arm is open.", ("task", "arm")),
}
SHARED_GAUGES = {
    "continuum_gateway_traffic": ("Share of a task's traffic that its candidate answers.", ("task",)),
    "continuum_gateway_store_up": ("Whether the store answered when the routes were last read.", ()),
}
"""Gauges of which every worker knows the same value, so that they are not added up."""

logger = logging.getLogger(__name__)


class _Served:
    """What one arm of one task served."""

    __slots__ = ("first_byte", "first_byte_s", "seconds", "statuses", "total_s")

    def __init__(self) -> None:
        self.statuses: defaultdict[str, int] = defaultdict(int)
        self.seconds = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0
        self.first_byte = [0] * (len(BOUNDS_S) + 1)
        self.first_byte_s = 0.0

    def add(self, statuses: dict[str, int], seconds: list[int], total_s: float, first: list[int], first_s: float) -> None:
        for status, count in statuses.items():
            self.statuses[status] += count
        self.seconds = [a + b for a, b in zip(self.seconds, seconds, strict=True)]
        self.first_byte = [a + b for a, b in zip(self.first_byte, first, strict=True)]
        self.total_s += total_s
        self.first_byte_s += first_s

    def written(self) -> list[Any]:
        return [dict(self.statuses), list(self.seconds), self.total_s, list(self.first_byte), self.first_byte_s]


class _Numbers:
    """All that one worker counted, or several together."""

    def __init__(self) -> None:
        self.served: defaultdict[tuple[str, str], _Served] = defaultdict(_Served)
        self.counters: defaultdict[tuple[str, ...], float] = defaultdict(float)
        """By the name of the family and the values of its labels."""
        self.gauges: defaultdict[tuple[str, ...], float] = defaultdict(float)

    def written(self) -> dict[str, Any]:
        # `list` of a dict is one step of the interpreter: the event loop may go on counting in another thread.
        return {
            "served": [[*at, *served.written()] for at, served in list(self.served.items())],
            "counters": [[*at, value] for at, value in list(self.counters.items())],
            "gauges": [[*at, value] for at, value in list(self.gauges.items())],
        }

    def add(self, written: dict[str, Any], *, gauges: bool) -> None:
        for task, arm, *numbers in written["served"]:
            self.served[str(task), str(arm)].add(*numbers)
        for *at, value in written["counters"]:
            if at[0] in COUNTERS:
                self.counters[tuple(at)] += value
        for *at, value in written["gauges"] if gauges else ():
            if at[0] in GAUGES:
                self.gauges[tuple(at)] += value


class Metrics:
    """What one worker counts, and all of them together when somebody asks.

    Args:
        folder: where the workers of one gateway write what they count; None keeps it in memory, for a single worker.
        worker: this worker's number; the one that takes the place of another has its number too.
        now: the clock, in seconds since 1970.
    """

    def __init__(self, folder: Path | None = None, worker: int = 0, *, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._file = None if folder is None else folder / f"worker-{worker}.json"
        self._now = now
        self._tasks: frozenset[str] = frozenset()
        self._numbers = _Numbers()
        self._in_flight = 0
        if self._file is not None and (written := _read(self._file)) is not None:
            self._numbers.add(written, gauges=False)
        self._told_at, self._told = now(), self._refused()

    # --- in the path of requests -------------------------------------------------------------------------------------------

    def began(self) -> None:
        """A request came in."""
        self._in_flight += 1

    def ended(self) -> None:
        """A request that came in is done with, however it ended."""
        self._in_flight -= 1

    def served(self, task: str, arm: Arm, status: int, seconds: float, first_byte_s: float | None = None) -> None:
        """A request was answered.

        Args:
            task: whose; counted by its name when it is a known one, see `know`.
            arm: who answered: the candidate, the champion, production, or nobody.
            status: HTTP status; 499 where the application went away before the end.
            seconds: until the end of the answer.
            first_byte_s: until its first byte, where it came in pieces.
        """
        served = self._numbers.served[task if task in self._tasks else OTHER, arm if arm in ARMS else OTHER]
        served.statuses[_STATUSES.get(status) or _status(status)] += 1
        served.seconds[bisect_left(BOUNDS_S, seconds)] += 1
        served.total_s += seconds
        if first_byte_s is not None:
            served.first_byte[bisect_left(BOUNDS_S, first_byte_s)] += 1
            served.first_byte_s += first_byte_s

    def tokens(self, task: str, arm: Arm, given: int, written: int) -> None:
        """Tokens that a model read and wrote, by its own account."""
        task, name = task if task in self._tasks else OTHER, arm if arm in ARMS else OTHER
        self._numbers.counters["continuum_gateway_tokens", task, name, "input"] += given
        self._numbers.counters["continuum_gateway_tokens", task, name, "output"] += written

    def refused(self, reason: str) -> None:
        """A request was refused; `reason` is one of the gateway's own words, never a request's."""
        self._numbers.counters["continuum_gateway_refused", reason] += 1

    def fell_back(self, task: str) -> None:
        """The arm behind answered, because the chosen one did not."""
        self._numbers.counters["continuum_gateway_fallbacks", task if task in self._tasks else OTHER] += 1

    def shadowed(self, task: str, outcome: str) -> None:
        """What became of a request that was to be answered in the shadow; one of the gateway's own words."""
        self._numbers.counters["continuum_gateway_shadows", task if task in self._tasks else OTHER, outcome] += 1

    def tripped(self, task: str, arm: Arm) -> None:
        """A breaker opened."""
        self._numbers.counters["continuum_gateway_trips", task if task in self._tasks else OTHER, arm] += 1

    # --- now and then ------------------------------------------------------------------------------------------------------

    def know(self, tasks: Iterable[str]) -> None:
        """Count these tasks by name, the first ones of them that there is room for; a task stays known.

        Which ones is the gateway's to say, never a request's: each name is a series that lasts as long as the gateway does.
        """
        room = MAX_TASKS - len(self._tasks)
        new = [task for task in dict.fromkeys(tasks) if task not in self._tasks][:room]
        if new:
            self._tasks |= frozenset(new)

    def show(self, gauge: str, value: float, *labels: str) -> None:
        """Set a gauge of this worker, by the name of its family and the values of its labels."""
        self._numbers.gauges[gauge, *labels] = value

    def forget(self, gauge: str) -> None:
        """Drop all values of a gauge of this worker: before those that still hold are shown again."""
        for at in [at for at in list(self._numbers.gauges) if at[0] == gauge]:
            del self._numbers.gauges[at]

    def tell_refused(self, every_s: float = TELL_S) -> None:
        """Say in the log what was refused since it was last said: one line, whoever is refused must not fill the log."""
        now = self._now()
        if now - self._told_at < every_s:
            return
        counts = self._refused()
        new = {reason: count - self._told.get(reason, 0) for reason, count in counts.items()}
        if said := ", ".join(f"{count:g} x {reason}" for reason, count in sorted(new.items()) if count > 0):
            logger.warning("refused in the last %.0f s: %s", now - self._told_at, said)
        self._told_at, self._told = now, counts

    def _refused(self) -> dict[str, float]:
        counters = list(self._numbers.counters.items())
        return {at[1]: count for at, count in counters if at[0] == "continuum_gateway_refused"}

    def flush(self) -> None:
        """Write down what was counted, for the other workers and the one after this; blocks on the disk, so not in the loop."""
        if self._file is None:
            return
        content = {"format": FORMAT, "at": self._now(), **self._present().written()}
        draft = self._file.with_suffix(f".{os.getpid()}")
        try:
            make_private(self._file.parent)
            draft.write_text(json.dumps(content), encoding="utf-8")
            draft.replace(self._file)
        except OSError as error:
            logger.warning("what the gateway counts cannot be written to %s: %s", self._file, error)
            with suppress(OSError):
                draft.unlink()

    def text(self) -> bytes:
        """All that the workers counted, in Prometheus' text form; blocks on the disk for a moment."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Exposed(self._together()))
        return generate_latest(registry)

    def _present(self) -> _Numbers:
        self._numbers.gauges["continuum_gateway_in_flight",] = self._in_flight
        return self._numbers

    def _together(self) -> _Numbers:
        """This worker's numbers as they stand, and the others' as they wrote them."""
        whole, own = _Numbers(), self._present().written()
        whole.add(own, gauges=True)
        for *at, value in own["gauges"]:
            if at[0] in SHARED_GAUGES:
                whole.gauges[tuple(at)] = value
        for file in sorted(self._folder.glob("worker-*.json")) if self._folder is not None else ():
            if file != self._file and (written := _read(file)) is not None:
                whole.add(written, gauges=abs(self._now() - written["at"]) < PRESENT_S)
        return whole


def _status(status: int) -> str:
    return str(status) if status in OWN_STATUS else f"{status // 100}xx" if 100 <= status < 600 else OTHER


_STATUSES = {status: str(status) for status in OWN_STATUS}


def _read(file: Path) -> dict[str, Any] | None:
    """What a worker wrote; None where it is damaged, or was written by another version."""
    try:
        written = json.loads(file.read_text(encoding="utf-8"))
        if written["format"] != FORMAT or not isinstance(written["at"], (int, float)):
            return None
        _Numbers().add(written, gauges=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return written


class _Exposed:
    """What is registered with Prometheus' library, which knows how its text form is written."""

    def __init__(self, numbers: _Numbers) -> None:
        self._numbers = numbers

    def collect(self) -> "Iterator[Metric]":
        """The families with their values."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        requests = CounterMetricFamily(
            "continuum_gateway_requests", "Requests that were answered.", labels=("task", "arm", "status")
        )
        seconds = HistogramMetricFamily(
            "continuum_gateway_request_seconds", "Until the end of an answer.", labels=("task", "arm")
        )
        first = HistogramMetricFamily(
            "continuum_gateway_first_byte_seconds", "Until a stream's first byte.", labels=("task", "arm")
        )
        for at, served in sorted(self._numbers.served.items()):
            for status, count in sorted(served.statuses.items()):
                requests.add_metric((*at, status), count)
            seconds.add_metric(at, _cumulated(served.seconds), served.total_s)
            if any(served.first_byte):
                first.add_metric(at, _cumulated(served.first_byte), served.first_byte_s)
        yield from (requests, seconds, first)
        for families, kind, values in (
            (COUNTERS, CounterMetricFamily, self._numbers.counters),
            (GAUGES | SHARED_GAUGES, GaugeMetricFamily, self._numbers.gauges),
        ):
            for name, (words, labels) in families.items():
                family = kind(name, words, labels=labels)
                for (of, *at), value in sorted(values.items()):
                    if of == name:
                        family.add_metric(at, value)
                yield family


def _cumulated(counts: list[int]) -> list[tuple[str, float]]:
    total, buckets = 0, []
    for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets
