"""Tells people of what happened to deployments, over a webhook and in Slack's form.

Whoever makes a change writes its event and goes on. A driver reads the events, writes what is to be told into the store's
outbox, once for each channel however many drivers there are, and posts it; what is refused is tried again, later each time.
A message may come twice where a driver is killed between posting and noting it: its `id` is the same then.

| kind | told when |
|---|---|
| promotion | a candidate begins, or takes a step |
| live | a model is the champion, or is it again |
| rollback | a candidate or champion is taken back, or a trial is aborted |
| hold | a step that is due waits for evidence, or for somebody's approval |
| alarm, clear | somebody should look; it is well again |
| breaker | the gateway stopped asking a champion |
| blocked | the guard blocks a candidate |
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from continuum.config import Settings, load_settings, origin_of
from continuum.excerpts import excerpt
from continuum.records import Verdict
from continuum.serving_records import DeploymentEvent, DeploymentRecord
from continuum.timespan import rounded, utc_now

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

    from continuum.store.database import Store
    from continuum.store.notifications import Notification

KINDS = {
    "begin": "promotion",
    "promote": "promotion",
    "live": "live",
    "restore": "live",
    "rollback": "rollback",
    "abort": "rollback",
    "hold": "hold",
    "ask": "hold",
    "alarm": "alarm",
    "clear": "clear",
    "breaker": "breaker",
}
"""By the action of an event, what people are told it is; other events are told to nobody."""
SAID = {
    "begin": "begins",
    "promote": "takes a step",
    "live": "is the champion",
    "restore": "is the champion again",
    "rollback": "is taken back",
    "abort": "is aborted",
    "hold": "waits for evidence",
    "ask": "waits for an approval",
    "alarm": "needs somebody to look",
    "clear": "is well again",
    "breaker": "is not asked for now",
}
LOOK_BACK = timedelta(hours=1)
"""How far before what was told last an event may still turn up; and what a new channel is told of what was before it."""
TIMEOUT_S = 10.0
LEASE = timedelta(minutes=1)
"""For so long nobody else tries what somebody set out to deliver."""
FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(hours=1)
MOST_ATTEMPTS = 30
"""Close to a day, as the waits grow from ten seconds to an hour."""
MOST_WORDS = 600

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Channel:
    """One way to people; its address shows in no representation."""

    name: str
    """`webhook` or `slack`."""
    address: SecretStr

    def body(self, told: "Notification") -> dict[str, Any]:
        """What is posted."""
        if self.name != "slack":
            return dict(told.payload)
        # Slack reads <...> as links and mentions, and shows a preview of what it takes for a link.
        text = told.words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return {"text": text, "unfurl_links": False, "unfurl_media": False}


@dataclass(frozen=True)
class Told:
    """What one round of telling came to."""

    new: int = 0
    """Messages written down."""
    delivered: int = 0
    failed: int = 0
    """Attempts that failed; each is tried again later, or given up."""


def channels_of(settings: Settings) -> tuple[Channel, ...]:
    """The channels that the environment names."""
    named = {"webhook": settings.notify_webhook, "slack": settings.notify_slack}
    return tuple(Channel(name, address) for name, address in named.items() if address is not None)


async def tell(
    store: "Store",
    channels: Sequence[Channel] | None = None,
    *,
    now: Callable[[], datetime] = utc_now,
    timeout_s: float = TIMEOUT_S,
) -> Told:
    """Write down what is new, and deliver what is due; a channel that does not answer keeps no other waiting.

    Args:
        store: where events and the outbox are.
        channels: whom to tell; those of the settings when left out.
        now: the clock.
        timeout_s: for one message. A round takes little longer, as a channel that fails is left alone until the next.

    Raises:
        ContinuumError: the store failed, or a setting cannot be read.
    """
    known = channels_of(load_settings()) if channels is None else channels
    if not known:
        return Told()
    new = await asyncio.to_thread(write_down, store, known, now())
    sent = await asyncio.gather(*[_deliver(store, channel, now, timeout_s) for channel in known])
    return Told(new, sum(delivered for delivered, _ in sent), sum(failed for _, failed in sent))


def write_down(store: "Store", channels: Iterable[Channel], now: datetime) -> int:
    """Put what happened since into the outbox of each channel; the count of what was not there yet."""
    new = 0
    for channel in channels:
        span = store.notifications.span(channel.name)
        since = now - LOOK_BACK if span is None else max(span[0], span[1] - LOOK_BACK)
        new += store.notifications.add(_since(store, channel.name, since, now))
    return new


def is_something_to_tell(store: "Store", channels: Iterable[Channel], now: datetime) -> bool:
    """Whether a channel has something to be told by now, of what is written down."""
    return any(store.notifications.due(channel.name, now, most=1) for channel in channels)


def wait_after(attempts: int) -> timedelta | None:
    """How long to wait after so many attempts that failed; None to give up."""
    if attempts >= MOST_ATTEMPTS:
        return None
    return min(FIRST_WAIT * 2 ** min(attempts - 1, 20), LONGEST_WAIT)


# --- what is told ----------------------------------------------------------------------------------------------------


def _since(store: "Store", channel: str, since: datetime, now: datetime) -> "Iterator[Notification]":
    events = [event for event in store.deployments.events_since(since) if event.action in KINDS]
    records = store.deployments.get_many({event.deployment_id for event in events})
    for event in events:
        if (record := records.get(event.deployment_id)) is not None:
            yield of_event(record, event, channel, now)
    for verdict_id, items, at in store.reopenings.opened_verdicts(since):
        if (given := store.verdicts.get(verdict_id)) is not None:
            candidate = store.checkpoints.get(given.checkpoint_id)
            yield of_reopening(given, given.checkpoint_id if candidate is None else candidate.name, items, at, channel, now)
    for verdict in store.verdicts.blocked_since(since):
        candidate = store.checkpoints.get(verdict.checkpoint_id)
        yield of_block(verdict, verdict.checkpoint_id if candidate is None else candidate.name, channel, now)


def of_event(record: DeploymentRecord, event: DeploymentEvent, channel: str, now: datetime) -> "Notification":
    """What a channel is told of an event; the evidence stays in the store."""
    share = f"{event.to_traffic:.0%} of the traffic"
    if event.from_traffic != event.to_traffic:
        share = f"{event.from_traffic:.0%} to {event.to_traffic:.0%} of the traffic"
    words = f"{record.task}: {record.model} {SAID[event.action]} ({share}), by {event.actor}"
    # What a server said of a model may hold anything, and people are told on channels that others read too.
    refused = event.evidence.get("backend_refused")
    reason = f"its server does not take it; `continuum deployments {record.id}` tells why" if refused else event.reason
    words += f": {reason}" if reason else ""
    told = {
        "action": event.action,
        "deployment_id": record.id,
        "model": record.model,
        "stable_model": record.stable_model,
        "strategy": record.strategy,
        "from_traffic": event.from_traffic,
        "to_traffic": event.to_traffic,
        "actor": excerpt(event.actor, 100),
        "reason": excerpt(reason, MOST_WORDS),
    }
    named = _Named(f"{record.id}:{event.sequence:06}", record.task, KINDS[event.action], event.at, record.id)
    return _notification(named, channel, words, told, now)


def of_block(verdict: Verdict, candidate: str, channel: str, now: datetime) -> "Notification":
    """What a channel is told of a verdict that blocks its candidate."""
    reason = "; ".join(verdict.failed_checks) or "see its report"
    words = f"{verdict.task}: {candidate} is blocked by the guard: {reason}"
    told = {"action": "blocked", "model": candidate, "verdict_id": verdict.id, "reason": excerpt(reason, MOST_WORDS)}
    return _notification(_Named(f"verdict:{verdict.id}", verdict.task, "blocked", verdict.created_at), channel, words, told, now)


def of_reopening(verdict: Verdict, model: str, items: int, at: datetime, channel: str, now: datetime) -> "Notification":
    """What a channel is told of a verdict that was given on golden items of which people now say otherwise."""
    reason = f"the verdict was given on {items} items of which people now say otherwise; it is given again"
    words = f"{verdict.task}: {model} was {verdict.status}: {reason}"
    told = {"action": "reopened", "model": model, "verdict_id": verdict.id, "items": items, "reason": reason}
    return _notification(_Named(f"reopened:{verdict.id}", verdict.task, "reopened", at), channel, words, told, now)


@dataclass(frozen=True)
class _Named:
    """What happened, by a name that is the same whoever tells of it; names of one deployment sort as its events."""

    name: str
    task: str
    kind: str
    at: datetime
    deployment_id: str | None = None


def _notification(named: _Named, channel: str, words: str, told: Mapping[str, Any], now: datetime) -> "Notification":
    from continuum.store.notifications import Notification  # SQLAlchemy starts here

    id_ = f"{named.name}:{channel}"
    line = f"{excerpt(words, MOST_WORDS)} ({named.at:%Y-%m-%d %H:%M:%S} UTC)"
    at = named.at.isoformat()
    return Notification(
        id=id_,
        task=named.task,
        deployment_id=named.deployment_id,
        channel=channel,
        kind=named.kind,
        words=line,
        payload={"id": id_, "kind": named.kind, "task": named.task, "at": at, "words": line, **told},
        created_at=named.at,
        next_at=now,
    )


# --- how it is delivered ---------------------------------------------------------------------------------------------


async def _deliver(store: "Store", channel: Channel, now: Callable[[], datetime], timeout_s: float) -> tuple[int, int]:
    """Deliver what is due, oldest first, until one fails: how many were delivered, and how many failed."""
    from aiohttp import ClientSession, ClientTimeout

    delivered = 0
    async with ClientSession(timeout=ClientTimeout(total=timeout_s)) as session:
        for told in await asyncio.to_thread(store.notifications.due, channel.name, now()):
            taken = await asyncio.to_thread(store.notifications.change, told, attempts=told.attempts + 1, next_at=now() + LEASE)
            if taken is None:
                continue  # Another driver set out with it.
            error, wait = await _posted(session, channel, taken)
            if error is None:
                done = {"next_at": None, "delivered_at": now(), "error": None}
                await asyncio.to_thread(store.notifications.change, taken, **done)
                delivered += 1
                continue
            await asyncio.to_thread(_put_off, store, channel, taken, error, wait, now())
            return delivered, 1
    return delivered, 0


async def _posted(session: "ClientSession", channel: Channel, told: "Notification") -> tuple[str | None, timedelta]:
    """Post a message: what went wrong, None where nothing did, and how long the other end wants to be left alone."""
    from aiohttp import ClientError

    try:
        address = channel.address.get_secret_value()
        async with session.post(address, json=channel.body(told), allow_redirects=False) as reply:
            if 200 <= reply.status < 300:
                return None, timedelta(0)
            return f"HTTP {reply.status}", _asked_to_wait(reply)
    except (ClientError, TimeoutError, OSError, ValueError) as error:
        # The library's messages may hold the address, which is a secret.
        return type(error).__name__, timedelta(0)


def _asked_to_wait(reply: "ClientResponse") -> timedelta:
    said = reply.headers.get("Retry-After", "")
    return min(timedelta(seconds=int(said)), LONGEST_WAIT) if said.isdecimal() and len(said) < 10 else timedelta(0)


def _put_off(store: "Store", channel: Channel, told: "Notification", error: str, asked: timedelta, now: datetime) -> None:
    wait = wait_after(told.attempts)
    next_at = None if wait is None else now + max(wait, asked)
    what = "it is given up" if next_at is None else f"again in {rounded(max(wait or asked, asked))}"
    logger.warning("%s at %s was not told of %s: %s; %s", channel.name, origin_of(channel.address), told.id, error, what)
    store.notifications.change(told, next_at=next_at, error=error)
