"""Deployments in people's hands: what there is, and to go on, hold, end or take back."""

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from continuum.commands.completing import deployed
from continuum.commands.terminal import Json, complain, print_json, run, say
from continuum.errors import ConfigurationError
from continuum.excerpts import excerpt
from continuum.store import default_store
from continuum.timespan import utc_now

if TYPE_CHECKING:
    from continuum.deployment.standing import Standing
    from continuum.serving_records import DeploymentRecord
    from continuum.store.database import Store

SHOWN_DONE = 10
"""Deployments that are done, in a list that is not asked for all."""
LONGEST_REASON = 400
Item = Annotated[
    str,
    typer.Argument(
        metavar="ID|TASK|MODEL", help="A deployment's id, a task, or a model such as support-v2.", autocompletion=deployed
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the change.")]


def deployments(
    item: Annotated[
        str | None,
        typer.Argument(
            metavar="[TASK|ID]",
            help="A task for its deployments, or a deployment's id for all that happened to it.",
            autocompletion=deployed,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also all that are done.")] = False,
    as_json: Json = False,
) -> None:
    """List who serves, how much and what happens next; or tell the whole story of one deployment."""
    from continuum.deployment.standing import standing

    store, now = default_store(), utc_now()
    one = None if item is None else store.deployments.get(item)
    if one is not None:
        _story(store, standing(store, one, now=now), as_json)
        return
    if item is not None and item not in store.tasks.names():
        raise ConfigurationError(f"{item!r:.120} is neither a task nor the id of a deployment")
    records = [record for task in ([item] if item else store.tasks.names()) for record in store.deployments.of(task)]
    live = [record for record in records if not _is_done(record.state)]
    done = [record for record in records if _is_done(record.state)]
    done = sorted(done, key=lambda record: (record.updated_at, record.id), reverse=True)
    shown = [standing(store, record, now=now) for record in (*live, *(done if everything else done[:SHOWN_DONE]))]
    if as_json:
        print_json([_as_json(one) for one in shown])
    elif not shown:
        say(f"no deployment{f' of {item}' if item else ''} yet; continuum deploy MODEL makes one")
    else:
        _list(shown)
        if len(shown) < len(records):
            complain(f"{len(records) - len(shown)} more are done; --all shows them")
        refused = [message.error for message in store.notifications.waiting(item) if message.error]
        if refused:
            complain(f"notifications refused so far: {len(refused)}, the last with {refused[-1]}; whoever leads tries them again")


def promote(item: Item, reason: Reason = "", as_json: Json = False) -> None:
    """Take the next step of a ramp, approve the one that waits, or make a model that bakes the champion.

    Before the interval has passed a reason is needed. It never goes past what the guard's verdict allows.
    """
    _do("promote", item, reason, as_json)


def pause(item: Item, reason: Reason = "", as_json: Json = False) -> None:
    """Hold a trial's traffic where it is; the watch still takes it back where it does harm."""
    _do("pause", item, reason, as_json)


def resume(item: Item, reason: Reason = "", as_json: Json = False) -> None:
    """Go on with a trial that was paused."""
    _do("resume", item, reason, as_json)


def abort(item: Item, reason: Reason = "", as_json: Json = False) -> None:
    """End a trial: all traffic goes to the stable model at once."""
    _do("abort", item, reason, as_json)


def rollback(item: Item, reason: Reason = "", as_json: Json = False) -> None:
    """Take a model's traffic away at once: a trial's by the task, or by a model's name the champion's too.

    Where a champion goes, the one before it answers again.
    """
    _do("rollback", item, reason, as_json)


def who() -> str:
    """Who acts here, for the record."""
    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError):
        return "cli"  # A container need not know its user's name.


def _do(action: str, item: str, reason: str, as_json: bool) -> None:
    from continuum.deployment.handle import Deployment
    from continuum.deployment.standing import chosen
    from continuum.deployment.transitions import UNBEGUN

    store = default_store()
    record = chosen(store, item, action)

    def tell(taken: "DeploymentRecord") -> None:
        if taken.version != record.version:
            complain(f"{taken.model} answers {taken.traffic:.0%} of the traffic of {taken.task} now; its server is told")

    deployment = Deployment(record, store=store, on_change=tell)
    run(getattr(deployment, action)(reason=reason, actor=who()))
    after = deployment.record
    if as_json:
        print_json(after.model_dump(mode="json") | {"changed": after.version != record.version})
        return
    if after.version == record.version:
        say(f"{after.id}: nothing to {action}, {after.model} is {after.state}")
        return
    share = f"{after.traffic:.0%} of the traffic of {after.task} (was {record.traffic:.0%})"
    say(f"{after.id}: {after.model} is {after.state}, {share}")
    champion = store.deployments.champion(after.task)
    if action in ("abort", "rollback"):
        say(f"{after.task} is answered by {'production' if champion is None else champion.model}")
        for one in store.deployments.of(after.task):
            if one.state in UNBEGUN:
                complain(f"{one.model} is {one.state} and begins when it is ready; `continuum abort {one.id}` ends that")
    if after.alarm:
        complain(f"warning: {excerpt(after.alarm, LONGEST_REASON)}")


def _is_done(state: str) -> bool:
    return state in ("rolled_back", "aborted", "superseded")


def _list(shown: "list[Standing]") -> None:
    for one in shown:
        record = one.record
        shadow = f" and {record.shadow:.0%} in the shadow" if record.shadow else ""
        how = f"{record.strategy} on {record.backend}{'' if record.verdict_id else ', unguarded'}"
        where = f"{record.state} at {record.traffic:.0%}{shadow} since {record.step_at:%Y-%m-%d %H:%M} UTC"
        say(f"{record.task}: {record.model} is {where} ({how}) {record.id}")
        if record.alarm:
            say(f"  ALARM {excerpt(record.alarm, LONGEST_REASON)}")
        if not _is_done(record.state):
            say(f"  next: {excerpt(one.next, LONGEST_REASON)}")


def _story(store: "Store", one: "Standing", as_json: bool) -> None:
    told = store.notifications.of(one.record.id)
    if as_json:
        notified = [message.model_dump(mode="json", exclude={"payload"}) for message in told]
        print_json(_as_json(one) | {"notifications": notified})
        return
    record = one.record
    guarded = f"verdict {record.verdict_id}" if record.verdict_id else "unguarded"
    say(f"{record.id}: {record.model} of {record.task} is {record.state}, {record.traffic:.0%} of the traffic")
    say(f"{record.strategy} on {record.backend} at {record.backend_url}; {guarded}; beside it answers {record.stable_model}")
    if record.alarm:
        say(f"ALARM {excerpt(record.alarm, LONGEST_REASON)}")
    say(f"next: {excerpt(one.next, LONGEST_REASON)}")
    for event in one.events:
        share = f"{event.from_traffic:.0%} -> {event.to_traffic:.0%}" if event.from_traffic != event.to_traffic else ""
        line = f"{event.at:%Y-%m-%d %H:%M:%S} {event.action:<10} {share:<12} {excerpt(event.actor)}: "
        say(line + excerpt(event.reason, LONGEST_REASON))
    waiting = [message for message in told if message.delivered_at is None]
    if waiting:
        complain(f"{len(waiting)} of {len(told)} notifications are not delivered: {waiting[-1].error or 'not tried yet'}")


def _as_json(one: "Standing") -> dict[str, Any]:
    arms = {arm: vars(figures) for arm, figures in one.arms.items()}
    events = [event.model_dump(mode="json") for event in one.events]
    return one.record.model_dump(mode="json") | {"next": one.next, "calls": arms, "events": events}
