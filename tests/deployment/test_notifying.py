"""What people are told of deployments: once, in time, and without anything that could be used against them."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from continuum.config import load_settings, origin_of
from continuum.deployment.notifying import MOST_ATTEMPTS, Channel, channels_of, tell, wait_after, write_down
from continuum.errors import ConfigurationError
from continuum.records import Checkpoint, Verdict, VerdictStatus
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.database import Store
from tests.builders import NOON

HOOK_PATH = "/services/T0/B0/s3cr3t"


@dataclass
class Hook:
    """A webhook that answers as a test says, and keeps what it was told."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    waits: asyncio.Event | None = None
    bodies: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def channel(self, name: str = "webhook") -> Channel:
        return Channel(name, SecretStr(self.url))


@asynccontextmanager
async def a_hook(**fields: Any) -> AsyncIterator[Hook]:
    hook = Hook(**fields)

    async def answer(request: web.Request) -> web.Response:
        hook.bodies.append(await request.json())
        if hook.waits is not None:
            await hook.waits.wait()
        return web.Response(status=hook.status, headers=hook.headers)

    app = web.Application()
    app.router.add_post(HOOK_PATH, answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}{HOOK_PATH}"
    try:
        yield hook
    finally:
        if hook.waits is not None:
            hook.waits.set()
        await runner.cleanup()


@dataclass
class Clock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def a_trial(store: Store, **fields: Any) -> DeploymentRecord:
    record = DeploymentRecord(
        task="support", checkpoint_id="c1", model="support-v1", stable_model="production", created_at=NOON, **fields
    )
    store.deployments.add(record, DeploymentEvent(deployment_id=record.id, at=NOON, actor="sdk", action="deploy"))
    return record


def happens(store: Store, record: DeploymentRecord, action: str, reason: str = "", **fields: Any) -> DeploymentRecord:
    event = DeploymentEvent(
        deployment_id=record.id, at=fields.pop("at", NOON), actor="controller", action=action, reason=reason, **fields
    )
    changed = store.deployments.change(record, event)
    assert changed is not None
    return changed


async def test_what_people_want_to_know_is_told_once_on_each_channel(store: Store, clock: Clock) -> None:
    record = a_trial(store)
    for action in ("warm", "begin", "hold", "alarm", "promote", "rollback", "done"):
        record = happens(store, record, action, f"because of {action}")
    async with a_hook() as hook, a_hook() as slack:
        channels = (hook.channel(), slack.channel("slack"))

        first = await tell(store, channels, now=clock)
        again = await tell(store, channels, now=clock)

    assert (first.new, first.delivered, again.new, again.delivered) == (10, 10, 0, 0)
    assert [body["action"] for body in hook.bodies] == ["begin", "hold", "alarm", "promote", "rollback"]
    assert [body["kind"] for body in hook.bodies] == ["promotion", "hold", "alarm", "promotion", "rollback"]
    assert len(slack.bodies) == 5
    assert set(slack.bodies[0]) == {"text", "unfurl_links", "unfurl_media"}
    assert slack.bodies[-1]["text"].startswith("support: support-v1 is taken back (0% of the traffic), by controller: because")


async def test_what_a_server_said_of_a_model_stays_in_the_store(store: Store, clock: Clock) -> None:
    record = happens(store, a_trial(store), "abort", "HTTP 500: Traceback of 10.0.0.7", evidence={"backend_refused": True})
    async with a_hook() as hook:
        await tell(store, (hook.channel(),), now=clock)

    (body,) = hook.bodies
    assert body["reason"] == f"its server does not take it; `continuum deployments {record.id}` tells why"
    assert "Traceback" not in str(body)


async def test_two_drivers_tell_it_once(store: Store, clock: Clock) -> None:
    record = a_trial(store)
    for n in range(5):
        record = happens(store, record, "alarm", f"alarm {n}")
    async with a_hook() as hook:
        told = await asyncio.gather(*[tell(store, (hook.channel(),), now=clock) for _ in range(4)])

    assert sum(one.delivered for one in told) == 5
    assert sorted(body["reason"] for body in hook.bodies) == [f"alarm {n}" for n in range(5)]


async def test_what_is_refused_is_told_later_and_keeps_nothing_waiting(store: Store, clock: Clock) -> None:
    happens(store, a_trial(store), "rollback", "it is worse")
    async with a_hook(status=503) as hook, a_hook() as slack:
        channels = (hook.channel(), slack.channel("slack"))

        told = await tell(store, channels, now=clock)
        assert (told.delivered, told.failed) == (1, 1)
        assert (await tell(store, channels, now=clock)).failed == 0  # Not yet again.

        clock.now += timedelta(seconds=11)
        assert (await tell(store, channels, now=clock)).failed == 1
        clock.now += timedelta(seconds=11)
        assert (await tell(store, channels, now=clock)).failed == 0  # The second wait is longer.

        hook.status = 204
        clock.now += timedelta(seconds=10)
        assert (await tell(store, channels, now=clock)).delivered == 1

    (message, *_) = [one for one in store.notifications.of(hook.bodies[0]["deployment_id"]) if one.channel == "webhook"]
    assert (message.attempts, message.error, message.delivered_at) == (3, None, clock.now)
    assert len({body["id"] for body in hook.bodies}) == 1


async def test_a_hook_that_asks_to_be_left_alone_is(store: Store, clock: Clock) -> None:
    happens(store, a_trial(store), "alarm")
    async with a_hook(status=429, headers={"Retry-After": "120"}) as hook:
        await tell(store, (hook.channel(),), now=clock)

    (message,) = store.notifications.waiting()
    assert message.next_at == NOON + timedelta(seconds=120)
    assert message.error == "HTTP 429"


async def test_it_is_given_up_after_about_a_day(store: Store, clock: Clock) -> None:
    happens(store, a_trial(store), "alarm")
    channel = Channel("webhook", SecretStr(f"http://127.0.0.1:9{HOOK_PATH}"))

    while store.notifications.waiting() or clock.now == NOON:
        await tell(store, (channel,), now=clock)
        clock.now += timedelta(hours=1)

    assert timedelta(hours=20) < clock.now - NOON < timedelta(hours=40)
    assert wait_after(MOST_ATTEMPTS) is None
    assert sum((wait_after(n) or timedelta(0) for n in range(1, MOST_ATTEMPTS)), timedelta(0)) > timedelta(hours=20)


async def test_a_hook_that_hangs_delays_nobody_for_longer_than_the_timeout(store: Store, clock: Clock) -> None:
    record = happens(store, a_trial(store), "alarm", "one")
    happens(store, record, "alarm", "two")
    async with a_hook(waits=asyncio.Event()) as hook, a_hook() as slack:
        told = await tell(store, (hook.channel(), slack.channel("slack")), now=clock, timeout_s=0.3)

    assert (told.delivered, told.failed) == (2, 1)
    assert len(hook.bodies) == 1  # After one that fails, the rest waits for another round.


async def test_no_redirect_is_followed_with_what_is_told(store: Store, clock: Clock) -> None:
    happens(store, a_trial(store), "alarm")
    async with a_hook() as elsewhere, a_hook(status=307, headers={"Location": ""}) as hook:
        hook.headers["Location"] = elsewhere.url
        told = await tell(store, (hook.channel(),), now=clock)

    assert told.failed == 1
    assert elsewhere.bodies == []


async def test_the_address_is_neither_stored_nor_logged(store: Store, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    happens(store, a_trial(store), "alarm")
    channel = Channel("slack", SecretStr(f"http://127.0.0.1:9{HOOK_PATH}"))
    caplog.set_level(logging.DEBUG)

    await tell(store, (channel,), now=clock)

    (message,) = store.notifications.waiting()
    for said in (repr(channel), caplog.text, message.model_dump_json()):
        assert "s3cr3t" not in said
    assert "http://127.0.0.1:9 was not told" in caplog.text


async def test_hostile_words_can_do_nothing_in_a_message(store: Store, clock: Clock) -> None:
    hostile = "<!channel> <http://evil.example|click> & \x1b[31mred\x1b[0m\u202e" + "long " * 500
    happens(store, a_trial(store), "alarm", hostile)
    async with a_hook() as hook, a_hook() as slack:
        await tell(store, (hook.channel(), slack.channel("slack")), now=clock)

    text = slack.bodies[0]["text"]
    assert "&lt;!channel&gt; &lt;http://evil.example|click&gt; &amp;" in text
    assert "<" not in text
    assert slack.bodies[0]["unfurl_links"] is False
    sent = json.dumps(hook.bodies[0], ensure_ascii=False)
    assert "\x1b" not in sent
    assert "\u202e" not in sent
    assert len(sent) < 2000


async def test_a_blocked_candidate_is_told_of(store: Store, clock: Clock) -> None:
    store.checkpoints.add(Checkpoint(id="c7", task="support", version=7, base_model="tiny", uri="/", dataset_id="d"))
    verdict = Verdict(
        task="support",
        checkpoint_id="c7",
        baseline="production",
        golden_id="g",
        status=VerdictStatus.BLOCKED,
        approved=False,
        max_traffic=0.0,
        failed_checks=("accuracy", "safety"),
        created_at=NOON,
    )
    store.verdicts.add(verdict)
    store.verdicts.add(verdict.model_copy(update={"id": "v2", "status": VerdictStatus.APPROVED}))
    async with a_hook() as hook:
        await tell(store, (hook.channel(),), now=clock)

    assert [(body["kind"], body["model"]) for body in hook.bodies] == [("blocked", "support-v7")]
    assert "support: support-v7 is blocked by the guard: accuracy; safety" in hook.bodies[0]["words"]


def test_a_new_channel_is_told_of_the_last_hour_and_not_of_the_past(store: Store) -> None:
    record = happens(store, a_trial(store), "alarm", "of old", at=NOON - timedelta(hours=3))
    record = happens(store, record, "hold", "of late", at=NOON - timedelta(minutes=50))
    channel = Channel("webhook", SecretStr("http://127.0.0.1:9/"))

    assert write_down(store, (channel,), NOON) == 1
    assert write_down(store, (channel,), NOON) == 0
    # What a driver that was away for days has missed is told by the next one.
    happens(store, record, "rollback", at=NOON + timedelta(minutes=1))
    assert write_down(store, (channel,), NOON + timedelta(days=5)) == 1


async def test_without_a_channel_nothing_is_kept(store: Store) -> None:
    happens(store, a_trial(store), "alarm", at=NOON)

    assert (await tell(store)).new == 0
    assert store.notifications.waiting() == []


async def test_the_environment_names_the_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_NOTIFY_SLACK", f"https://user:pw@hooks.example.com{HOOK_PATH}?token=s3cr3t")
    settings = load_settings()

    (slack,) = channels_of(settings)
    assert slack.name == "slack"
    assert origin_of(slack.address) == "https://hooks.example.com"
    assert "s3cr3t" not in repr(settings)


@pytest.mark.parametrize(
    "value", ["hooks.example.com/s3cr3t", "ftp://x/s3cr3t", "http:///s3cr3t", "http://a b/s3cr3t", "http://a:x/s3cr3t"]
)
@pytest.mark.parametrize("name", ["CONTINUUM_NOTIFY_SLACK", "CONTINUUM_NOTIFY_WEBHOOK", "CONTINUUM_APPROVAL_WEBHOOK"])
def test_what_is_no_address_is_refused_without_showing_it(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as refused:
        load_settings({name: value})
    assert "s3cr3t" not in str(refused.value)


def test_an_event_of_a_deployment_that_was_dropped_is_told_to_nobody(store: Store) -> None:
    record = happens(store, a_trial(store, state=DeploymentState.CANARY), "alarm")
    store.drop_task(record.task)

    assert write_down(store, (Channel("webhook", SecretStr("http://127.0.0.1:9/")),), NOON) == 0
