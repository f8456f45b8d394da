"""Leading deployments from a terminal, and seeing how they do."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from continuum.commands.completing import task_names
from continuum.commands.tasks import brought_in
from continuum.commands.terminal import Json, bar, complain, console, print_json, run, say
from continuum.config import load_settings, origin_of
from continuum.errors import ConfigurationError
from continuum.excerpts import excerpt
from continuum.progress import Progress
from continuum.store.outages import is_away
from continuum.timespan import parse_span, utc_now

if TYPE_CHECKING:
    from continuum.commands.watch_view import View
    from continuum.deployment.controller import Looking
    from continuum.deployment.driving import Round
    from continuum.store.database import Store

WAIT_S = 5.0
"""At most, between two tries to reach a store that does not answer."""
LONGEST_WORDS = 400
ACTOR = "watch"
"""Who signs what is done without anybody asking for it."""


def watch(
    task: Annotated[str | None, typer.Argument(help="Name of the task; all when left out.", autocompletion=task_names)] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    every: Annotated[str, typer.Option(help="From one look to the next.")] = "10s",
    live: Annotated[bool, typer.Option("--live", help="Show split, quality, latency, errors and cost while it runs.")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show the same and lead nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Lead deployments: judge live traffic, take the steps that the evidence allows, roll back, and tell people.

    It does what the Dagster sensor does, and both may run. Killed, it leaves the traffic as it is; the next one goes on.
    """
    if as_json and live:
        raise typer.BadParameter("--json prints looks, and --live shows them; leave one of them out")
    pause = parse_span(every)
    # A look at one moment has nothing to wait for.
    store = brought_in() if once or (read_only and not _has_screen()) else _store_when_it_answers(pause)
    if task is not None and task not in store.tasks.names():
        raise ConfigurationError(f"there is no task {task!r:.120}; known: {', '.join(store.tasks.names()) or 'none yet'}")
    if read_only and as_json:
        from continuum.deployment.standing import standings

        print_json([one.record.model_dump(mode="json") | {"next": one.next} for one in standings(store, task, now=utc_now())])
        return
    from continuum.commands.watch_view import View

    view = View(store, task, leads=not read_only)
    if read_only:
        run(_show(view, once=once))
        return
    _say_who_is_told()
    from continuum.deployment.driving import drive

    leading = partial(drive, store, task, every=pause, rounds=1 if once else None, actor=ACTOR)
    if live and not once and _has_screen():
        run(_lead_in_view(view, leading))
    else:
        _lead_in_lines(view, leading, once=once, live=live, as_json=as_json)


def _lead_in_lines(view: "View", leading: Any, *, once: bool, live: bool, as_json: bool) -> None:
    lines = _Lines(chatty=once, say=_nothing if as_json else say)

    def on_round(found: "Round") -> None:
        lines(found)
        view.on_round(found)
        if as_json:
            print_json(found, in_a_line=not once)

    with bar("judging") as on_progress:
        run(leading(on_round=on_round, look=_looking(on_progress)))
    if live:
        run(_show(view, once=True))
    if lines.failed:
        raise typer.Exit(1)


def _store_when_it_answers(every: timedelta) -> "Store":
    """The store, as soon as it answers; what does not pass by itself is raised."""
    said = False
    while True:
        try:
            store = brought_in()
        except Exception as error:
            if not (getattr(error, "passing", False) or is_away(error)):
                raise
            if not said:
                complain(
                    f"{utc_now():%H:%M:%S} the store does not answer and is waited for: {excerpt(str(error), LONGEST_WORDS)}"
                )
            said = True
            time.sleep(min(every.total_seconds(), WAIT_S))
        else:
            if said:
                complain(f"{utc_now():%H:%M:%S} the store answers")
            return store


def _looking(on_progress: Progress) -> "Looking":
    from continuum.deployment.watch.watch import look

    return partial(look, on_progress=on_progress)


def _say_who_is_told() -> None:
    settings = load_settings()
    named = {"webhook": settings.notify_webhook, "slack": settings.notify_slack, "approvals": settings.approval_webhook}
    told = [f"{name} at {origin_of(address)}" for name, address in named.items() if address is not None]
    if told:
        complain(f"hooks: {', '.join(told)}")


def _nothing(text: str) -> None:
    """Say nothing: what there is to say is printed as JSON."""


class _Lines:
    """A line for each thing that was done or failed, and one for each deployment that is seen for the first time."""

    def __init__(self, *, chatty: bool, say: Callable[[str], None]) -> None:
        self._chatty = chatty
        self._say = say
        self._said: dict[str, tuple[object, ...]] = {}
        self._trouble: str | None = None
        self.failed = False
        """Whether anything could not be done."""

    def __call__(self, found: "Round") -> None:
        if found.trouble != self._trouble and found.trouble is not None:
            complain(f"{found.at:%H:%M:%S} nothing could be led, the traffic stays as it is: {found.trouble}")
        self._trouble = found.trouble
        self.failed |= found.trouble is not None
        for tick in found.ticks:
            record = tick.record
            news = (record.version, tick.did, tick.why if tick.did == "failed" else "")
            if record.id not in self._said or (tick.did != "nothing" and news != self._said[record.id]):
                who = f"{excerpt(record.task)}: {excerpt(record.model)} is {record.state} at {record.traffic:.0%}"
                self._say(f"{found.at:%H:%M:%S} {who}: {tick.did}, {excerpt(tick.why, LONGEST_WORDS)}")
            self._said[record.id] = news
            # What ended with an alarm is still on its server.
            self.failed |= tick.did == "failed" or (tick.did == "done" and record.alarm is not None)
        if self._chatty and not found.ticks and found.trouble is None:
            self._say("no deployment is to be led")
        self.failed |= found.told.failed > 0
        if found.told.failed:
            complain(f"{found.at:%H:%M:%S} {found.told.failed} notifications were refused; they are tried again")


# --- the view --------------------------------------------------------------------------------------------------------


async def _lead_in_view(view: "View", leading: Any) -> None:
    """Lead and show, until the leading ends."""
    with view.shown():
        shower = asyncio.create_task(view.keep_up())
        try:
            await leading(on_round=view.on_round, look=_looking(view.on_progress))
        finally:
            shower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await shower


async def _show(view: "View", *, once: bool) -> None:
    """Show what others lead."""
    if once or not _has_screen():
        await view.read()
        console.print(view.whole())
        return
    with view.shown():
        await view.keep_up()


def _has_screen() -> bool:
    """Whether a view can stay on this terminal and change there."""
    return console.is_terminal and not console.is_dumb_terminal
