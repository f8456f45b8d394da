"""The benchmarks of serving under load, kills, outages and attacks: they see what goes wrong when it does."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from benchmarks.deployment import hostile, killing, outages, ramping
from benchmarks.deployment.__main__ import SUITE
from benchmarks.deployment.asking import Answered, Asking, missing, read
from benchmarks.deployment.attacks import CONFIDED, Attack, Keys, asked, attacks, question
from benchmarks.deployment.hostile import Attacked, Siege, leaks, strange
from benchmarks.deployment.killing import Point, Ramps
from benchmarks.deployment.leading import SCHEDULE
from benchmarks.deployment.models import Provider, ReadyEngine
from benchmarks.deployment.outages import Phase
from benchmarks.deployment.servers import MASTER_KEY, Server
from benchmarks.deployment.trials import Split, agreement
from continuum.deployment.gateway.upstream import Timeouts
from continuum.deployment.routing import PRODUCTION_ARM, Arm, Route, position
from continuum.serving_records import DeploymentEvent, DeploymentState
from continuum.store.database import Store
from tests.builders import interactions

EPOCH = 1_770_000_000.0
ANSWER = Answered(
    sent=EPOCH, came=EPOCH + 0.1, streamed=False, user="u1", status=200, model="support-v2", whole=True, variant="canary"
)
INTERVAL = timedelta(seconds=1)


def a_server(base_url: str) -> Server:
    return Server("it", base_url, cast("Any", None))


# --- asking ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def model() -> AsyncIterator[tuple[Provider, Server]]:
    """A provider in this process."""
    provider = Provider("production")
    runner = web.AppRunner(provider.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield provider, a_server(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
    await runner.cleanup()


async def asked_for(asking: Asking, requests: int) -> list[Answered]:
    stop = asyncio.Event()
    load = asyncio.create_task(asking.run(stop))
    async with asyncio.timeout(20):
        while len(asking.answers) < requests:
            await asyncio.sleep(0.02)
    stop.set()
    await load
    return asking.answers


async def test_a_load_asks_for_streams_and_for_whole_answers_and_says_who_gave_them(model: tuple[Provider, Server]) -> None:
    answers = await asked_for(Asking(model[1], per_second=200, seed=1), 40)

    assert all(one.ok for one in answers)
    assert {one.model for one in answers} == {"production"}
    assert {one.streamed for one in answers} == {True, False}
    assert len({one.user for one in answers}) > 20


async def test_a_stream_that_stops_in_the_middle_is_given_up_and_not_taken_for_whole(model: tuple[Provider, Server]) -> None:
    model[0].how = "stalls"

    answers = await asked_for(Asking(model[1], per_second=50, seed=1, streams=1.0, patience_s=0.3), 3)

    assert not any(one.ok for one in answers)
    assert all(one.status == 200 and "Timeout" in one.failure for one in answers)


async def test_a_model_that_is_not_there_is_a_failure_and_no_crash() -> None:
    answers = await asked_for(Asking(a_server("http://127.0.0.1:9/v1"), per_second=50, seed=1), 3)

    assert {(one.ok, one.status) for one in answers} == {(False, None)}


def test_an_answer_is_whole_only_with_its_end() -> None:
    def event(words: str, end: str | None = None) -> bytes:
        return b"data: " + json.dumps({"choices": [{"delta": {"content": words}, "finish_reason": end}]}).encode() + b"\n\n"

    begun, ended = event("support-v1 says"), event("", "stop")

    assert read(begun + ended + b"data: [DONE]\n\n", streamed=True) == {"model": "support-v1", "whole": True}
    assert not read(begun + ended, streamed=True)["whole"]
    assert not read(begun + b"data: [DONE]\n\n", streamed=True)["whole"]
    assert not read(b"", streamed=True)["whole"]
    with pytest.raises(ValueError, match="expected"):
        read(b"torn", streamed=False)


def test_answers_that_the_store_does_not_hold_are_found(store: Store) -> None:
    kept = interactions(3)
    store.interactions.add(kept)
    there = [replace(ANSWER, interaction=one.id) for one in kept]
    lost, unnamed, failed = replace(ANSWER, interaction="nowhere"), ANSWER, replace(ANSWER, whole=False)

    assert missing(store, there) == []
    assert missing(store, [*there, lost, unnamed, failed]) == [lost, unnamed]


def test_the_engine_answers_only_in_the_name_of_what_is_loaded(tmp_path: Any) -> None:
    engine = ReadyEngine("tiny")
    engine.load_adapter("support-v1", tmp_path)

    assert engine.answer([[]], adapter=["support-v1"])[0].message.text.startswith("support-v1 ")
    engine.unload_adapter("support-v1")
    with pytest.raises(KeyError, match="support-v1"):
        engine.answer([[]], adapter=["support-v1"])


# --- how soon all agree ------------------------------------------------------------------------------------------------


def a_route(traffic: float) -> Route:
    return Route("d", traffic, Arm("support-v2", "http://127.0.0.1:9/v1", "canary"), (PRODUCTION_ARM,))


def a_split(after_s: float, traffic: float) -> Split:
    return Split(EPOCH + after_s, a_route(traffic), ())


def sent_at(after_s: float, model: str, took_s: float = 0.01) -> Answered:
    return replace(ANSWER, sent=EPOCH + after_s, came=EPOCH + after_s + took_s, model=model, deployment="d")


def test_the_last_request_that_the_old_split_answered_says_how_late_a_change_was_felt() -> None:
    splits = [a_split(0, 1.0), a_split(10, 0.0)]
    answers = [sent_at(9.9, "support-v2"), sent_at(10.3, "support-v2"), sent_at(10.2, "production"), sent_at(10.4, "production")]

    found = agreement(splits, answers)

    assert found.late_s[1] == pytest.approx(0.3)
    assert found.unexplained == ()


def test_a_request_under_way_during_a_change_may_be_answered_by_either_split() -> None:
    splits = [a_split(0, 1.0), a_split(10, 0.0)]

    assert agreement(splits, [sent_at(9.8, "production", took_s=0.5), sent_at(9.8, "support-v2", took_s=0.5)]).late_s == (0, 0)


def test_an_answer_that_no_split_explains_is_told_apart() -> None:
    stepped_in = sent_at(5, "production")

    assert agreement([a_split(0, 1.0), a_split(10, 0.0)], [stepped_in]).unexplained == (stepped_in,)


def test_failed_requests_and_dropped_streams_are_counted_apart() -> None:
    torn = replace(ANSWER, streamed=True, whole=False)
    refused = replace(ANSWER, status=502, whole=False)
    held = ramping.Held([ANSWER, torn, refused], agreement([], []), lost=1, stored=2)

    assert (held.dropped, held.failed) == ([torn], [refused])
    assert [entry.holds for entry in ramping.entries_of(held)][1:4] == [False, False, False]


# --- kills ------------------------------------------------------------------------------------------------------------


def events_of(shares: tuple[float, ...] = SCHEDULE, apart: timedelta = INTERVAL) -> tuple[DeploymentEvent, ...]:
    begun = datetime.fromtimestamp(EPOCH, UTC)
    return tuple(
        DeploymentEvent(
            deployment_id="d",
            at=begun + number * apart,
            actor="controller",
            action="promote",
            from_traffic=0.0 if number == 0 else shares[number - 1],
            to_traffic=share,
            sequence=number,
        )
        for number, share in enumerate(shares)
    )


def a_point(events: tuple[DeploymentEvent, ...], state: DeploymentState = DeploymentState.LIVE, *, bad: bool = False) -> Point:
    return Point("store", 0.5, "d", state, bad, events, down_s=2.0, at=EPOCH + 100)


def test_a_ramp_that_took_its_steps_in_their_time_is_right() -> None:
    assert a_point(events_of()).wrong(INTERVAL) == []
    back = (*events_of(SCHEDULE[:3]), events_of()[0].model_copy(update={"from_traffic": 0.5, "to_traffic": 0.0, "sequence": 3}))
    assert a_point(back, DeploymentState.ROLLED_BACK, bad=True).wrong(INTERVAL) == []


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (a_point(events_of((0.05, 0.5, 1.0))), "steps"),
        (a_point(events_of(apart=INTERVAL / 2)), "before its time"),
        (a_point(events_of(), DeploymentState.CANARY), "ended canary"),
        (a_point(events_of(), bad=True), "ended live"),
        (a_point((*events_of()[:2], *events_of()[3:])), "events are missing"),
    ],
    ids=["a step left out", "too soon", "it does not end", "a bad one is live", "an event lost"],
)
def test_a_ramp_that_did_otherwise_is_found_out(point: Point, words: str) -> None:
    assert any(words in one for one in point.wrong(INTERVAL))


def users_at(share: float) -> tuple[str, str]:
    """A user within a share of the deployment's order, and one beyond it."""
    users = [f"u{number}" for number in range(1000)]
    within = next(user for user in users if position("d", f"user:{user}") < share)
    return within, next(user for user in users if share <= position("d", f"user:{user}") < 0.25)


def test_a_candidate_that_answers_somebody_beyond_its_share_is_seen() -> None:
    within, beyond = users_at(0.05)
    at_5 = replace(ANSWER, deployment="d", sent=EPOCH + 0.3, came=EPOCH + 0.4)
    ramps = Ramps(points=[a_point(events_of())], answers=[replace(at_5, user=within), replace(at_5, user=beyond)])

    assert [one.user for one in ramps.beyond()] == [beyond]


def test_a_share_that_was_taken_away_may_be_felt_for_a_second_and_as_long_as_the_store_is_away() -> None:
    within, _ = users_at(0.05)
    given, taken = events_of((0.05, 0.0), apart=timedelta(seconds=10))
    late = [replace(ANSWER, deployment="d", user=within, sent=EPOCH + s, came=EPOCH + s + 0.1) for s in (10.5, 11.5)]
    ramps = Ramps(points=[a_point((given, taken))], answers=late)

    assert ramps.beyond() == late[1:]
    away = replace(ramps.points[0], at=EPOCH + 10.2)
    assert Ramps(points=[away], answers=late).beyond() == []


def test_failures_belong_to_what_was_killed_last() -> None:
    first, second = replace(a_point(()), victim="worker", at=EPOCH), replace(a_point(()), victim="store", at=EPOCH + 10)
    failed = [replace(sent_at(s, ""), status=None, whole=False) for s in (5, 15)]
    ramps = Ramps(points=[first, second], answers=[*failed, ANSWER])

    assert (ramps.failed("worker"), ramps.failed("store"), ramps.failed("controller")) == (failed[:1], failed[1:], [])


def test_a_worker_counts_once_it_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert killing.listeners(port) == 1
    assert killing.listeners(port) == 0


# --- outages -----------------------------------------------------------------------------------------------------------


def test_a_request_that_outlasts_its_timeouts_is_seen() -> None:
    waits = Timeouts(connect_s=0.5, first_byte_s=1.0, idle_s=1.0)
    quick, slow = replace(ANSWER, came=ANSWER.sent + 1.2), replace(ANSWER, came=ANSWER.sent + 9)

    assert Phase("candidate silent", 1, answers=[quick]).beyond(waits) < 0
    assert Phase("candidate silent", 1, answers=[quick, slow]).beyond(waits) == pytest.approx(7.5)


def test_a_stream_that_stalls_is_nobodys_to_go_on_with_and_everything_else_is_to_be_answered() -> None:
    torn, refused = replace(ANSWER, streamed=True, whole=False), replace(ANSWER, status=502, whole=False)

    assert Phase("streams stall", 1, whole=False, answers=[torn, refused, ANSWER]).wrong == 1
    assert Phase("store down", 0, answers=[torn, refused, ANSWER]).wrong == 2


# --- attacks ------------------------------------------------------------------------------------------------------------

KEYS = Keys("ck-good-4711-secret-of-it", "ck-other-4711-secret-of-it", "ck-revoked-4711-secret-of-it")


def test_every_attack_has_a_name_of_its_own_and_says_what_is_right() -> None:
    found = attacks(KEYS, "http://127.0.0.1:9", 1.0)

    assert len({one.name for one in found}) == len(found) >= 100
    assert all(one.pieces and one.statuses for one in found)
    assert all(one.statuses == (200,) for one in found if one.passes)


@pytest.fixture
def naive() -> Iterator[tuple[Server, list[dict[str, Any]]]]:
    """A server that answers whatever it is sent, counts nothing, and passes everything on."""
    passed: list[dict[str, Any]] = []

    class Naive(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(json.dumps(passed).encode() if self.path == "/seen" else b"")

        def do_POST(self) -> None:
            passed.append({"body": self.rfile.read(int(self.headers.get("content-length", 0))).decode()})
            self._say(b"{}")

        def _say(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Naive) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield a_server(f"http://127.0.0.1:{server.server_port}/v1"), passed
        server.shutdown()


def test_a_server_that_takes_everything_fails_every_part_of_an_attack(naive: tuple[Server, list[dict[str, Any]]]) -> None:
    found = Siege(naive[0], naive[0]).make(Attack("no key", (asked(question()),), (401,)))

    assert found.statuses == [200]
    assert [words for words in ("answered with 200", "not counted", "asked 1 times") if words in " ".join(found.faults)] == [
        "answered with 200", "not counted", "asked 1 times",
    ]  # fmt: skip


def test_a_header_that_was_injected_is_seen_and_one_that_is_encoded_is_none() -> None:
    heads = hostile._heads(b"HTTP/1.1 200 OK\r\na: b\r\nX-Injected: yes\r\n\r\nx")

    assert hostile.INJECTED.search(heads)
    assert not hostile.INJECTED.search(hostile._heads(b"HTTP/1.1 200 OK\r\na: %0d%0ax-injected:%20yes\r\n\r\nx-injected: no"))


def test_secrets_and_traces_are_found_in_what_was_told() -> None:
    assert leaks("all is well", [KEYS.good, CONFIDED]) == []
    assert len(leaks(f"{KEYS.good} and Traceback (most recent call last)", [KEYS.good, CONFIDED])) == 2


def test_what_a_provider_should_not_have_been_told_is_found() -> None:
    production = a_server("http://127.0.0.1:1234/v1")
    right = [["host", "127.0.0.1:1234"], ["authorization", f"Bearer {MASTER_KEY}"], ["content-type", "application/json"]]
    request = {"method": "POST", "target": "/v1/chat/completions", "headers": right, "body": ""}

    assert strange(request, KEYS, production) == []
    assert strange(request | {"target": "/v1/chat/completions?base_url=x"}, KEYS, production)
    assert strange(request | {"headers": [*right, ["cookie", "a=b"]]}, KEYS, production) == ["told the header cookie"]
    assert strange(request | {"headers": [["host", "evil.example"], *right[1:]]}, KEYS, production)
    assert strange(request | {"headers": [*right[:1], ["authorization", f"Bearer {KEYS.good}"]]}, KEYS, production)


def test_one_attack_that_came_through_is_one_too_many() -> None:
    well = Attacked(Attack("a", (b"",), (400,)), b"HTTP/1.1 400 Bad Request\r\n\r\n", 0.1)
    honest = SimpleNamespace(failed=0)

    assert all(entry.holds for entry in hostile.entries_of([well], cast("Any", honest), [], [], 0, logged=True))
    through = replace(well, faults=["it was answered with 200"])
    held = [entry.holds for entry in hostile.entries_of([well, through], cast("Any", honest), ["x"], ["x"], 1, logged=False)]
    assert held == [False, False, False, False, False, True]


def test_the_suite_runs_all_of_them() -> None:
    assert {"ramping", "killing", "outages", "hostile"} <= set(SUITE.names)
    assert SUITE.benchmark("outages") is outages.measure
