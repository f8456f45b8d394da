"""Leading deployments from a terminal, and seeing how they do."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from continuum.commands.completing import task_names
from continuum.commands.tasks import brought_in
from continuum.commands.terminal import Json, bar, complain, console, print_json, run, say
from continuum.config import load_settings, origin_of
from continuum.errors import ConfigurationError
from continuum.excerpts import excerpt
from continuum.progress import Progress
from continuum.timespan import parse_span, utc_now

if TYPE_CHECKING:
    from continuum.deployment.controller import Looking
    from continuum.deployment.driving import Round
    from continuum.deployment.standing import Arm, Standing
    from continuum.store.database import Store

LOOK_EVERY_S = 1.0
"""Between two readings of a live view."""
LAST_EVENTS = 5
SPLIT_WIDTH = 30
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
    if as_json and (live or not once):
        raise typer.BadParameter("--json prints one look: add --once, and leave --live out")
    pause = parse_span(every)
    store = brought_in()
    if task is not None and task not in store.tasks.names():
        raise ConfigurationError(f"there is no task {task!r:.120}; known: {', '.join(store.tasks.names()) or 'none yet'}")
    if read_only and as_json:
        from continuum.deployment.standing import standings

        print_json([one.record.model_dump(mode="json") | {"next": one.next} for one in standings(store, task, now=utc_now())])
        return
    if read_only:
        run(_show(store, task, once=once))
        return
    _say_who_is_told()
    from continuum.deployment.driving import drive

    rounds = 1 if once else None
    leading = partial(drive, store, task, every=pause, rounds=rounds, actor=ACTOR)
    if live and console.is_terminal:
        run(_lead_in_view(store, task, leading))
    else:
        lines = _Lines(chatty=once, say=_nothing if as_json else say)
        with bar("judging") as on_progress:
            run(leading(on_round=lines, look=_looking(on_progress)))
        if as_json:
            print_json(lines.last)
        if live:
            run(_show(store, task, once=True))
        if lines.failed:
            raise typer.Exit(1)


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
        self.last: Round | None = None
        self._said: dict[str, tuple[object, ...]] = {}
        self._trouble: str | None = None
        self.failed = False
        """Whether anything could not be done."""

    def __call__(self, found: "Round") -> None:
        self.last = found
        if found.trouble != self._trouble and found.trouble is not None:
            complain(f"{found.at:%H:%M:%S} nothing could be led, the traffic stays as it is: {found.trouble}")
        self._trouble = found.trouble
        self.failed |= found.trouble is not None
        for tick in found.ticks:
            record = tick.record
            news = (record.version, tick.did, tick.why if tick.did == "failed" else "")
            if record.id not in self._said or (tick.did != "nothing" and news != self._said[record.id]):
                said = f"{found.at:%H:%M:%S} {record.task}: {record.model} is {record.state} at {record.traffic:.0%}: "
                self._say(said + f"{tick.did}, {excerpt(tick.why, LONGEST_WORDS)}")
            self._said[record.id] = news
            # What ended with an alarm is still on its server.
            self.failed |= tick.did == "failed" or (tick.did == "done" and record.alarm is not None)
        if self._chatty and not found.ticks and found.trouble is None:
            self._say("no deployment is to be led")
        self.failed |= found.told.failed > 0
        if found.told.failed:
            complain(f"{found.at:%H:%M:%S} {found.told.failed} notifications were refused; they are tried again")


# --- the live view ---------------------------------------------------------------------------------------------------


async def _lead_in_view(store: "Store", task: str | None, leading: Any) -> None:
    """Lead and show, until the leading ends."""
    view = _View(store, task)

    def on_progress(done: int, total: int, note: str) -> None:
        view.note = f"judging {done} of {total}" if done < total else ""

    def on_round(found: "Round") -> None:
        view.fresh = {tick.record.id: tick.evidence for tick in found.ticks if "quality" in tick.evidence}
        view.words = {tick.record.id: tick.why for tick in found.ticks}
        view.note = found.trouble or f"looked at {found.at:%H:%M:%S} UTC"

    with view.shown():
        shower = asyncio.create_task(view.keep_up())
        try:
            await leading(on_round=on_round, look=_looking(on_progress))
        finally:
            shower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await shower
        await view.read()


async def _show(store: "Store", task: str | None, *, once: bool) -> None:
    """Show what others lead."""
    view = _View(store, task)
    if once or not console.is_terminal:
        await view.read()
        console.print(view.rendered())
        return
    with view.shown():
        await view.keep_up()


class _View:
    """A picture of the deployments that is read anew each second."""

    def __init__(self, store: "Store", task: str | None) -> None:
        self._store = store
        self._task = task
        self._standings: Sequence[Standing] = ()
        self.fresh: Mapping[str, Mapping[str, Any]] = {}
        """Evidence of the last look, by id of the deployment; that of the last event where this process looked at none."""
        self.words: Mapping[str, str] = {}
        self.note = ""

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show it on the terminal while the block lasts."""
        with Live(console=console, get_renderable=self.rendered, refresh_per_second=2):
            yield

    async def keep_up(self) -> None:
        """Read it anew until cancelled; a store that is down shows as such."""
        while True:
            try:
                await self.read()
            except Exception as error:  # noqa: BLE001  a view of a store that is down goes on when it is back
                self.note = f"the store does not answer: {type(error).__name__}"
            await asyncio.sleep(LOOK_EVERY_S)

    async def read(self) -> None:
        """Read it once."""
        from continuum.deployment.standing import standings

        self._standings = await asyncio.to_thread(partial(standings, self._store, self._task, now=utc_now()))

    def rendered(self) -> RenderableType:
        """The picture."""
        panels: list[RenderableType] = [
            panel(one, self.fresh.get(one.record.id), self.words.get(one.record.id, "")) for one in self._standings
        ]
        return Group(*(panels or [Text("no deployment is to be led")]), Text(self.note, style="dim"))


def panel(one: "Standing", fresh: Mapping[str, Any] | None = None, words: str = "") -> Panel:
    """A deployment in a frame: split, both arms' figures, quality, what is spent, what is next, and what happened last.

    Args:
        one: where it stands.
        fresh: evidence of a look that is newer than the last event; None where there is none.
        words: what that look came to.
    """
    record, evidence = one.record, one.evidence if fresh is None else fresh
    filled = round(SPLIT_WIDTH * record.traffic)
    split = Text("█" * filled, style="cyan").append("░" * (SPLIT_WIDTH - filled), style="dim")
    split.append(f" {record.traffic:.0%} {record.model}, the rest {record.stable_model}")
    if record.shadow:
        split.append(f"; {record.shadow:.0%} in the shadow")
    lines: list[RenderableType] = [split, _figures(one, evidence)]
    lines += [Text(line) for line in _told(one, evidence, fresh is not None)]
    if words:
        lines.append(Text(f"last look: {excerpt(words, LONGEST_WORDS)}"))
    lines.append(Text(f"next: {excerpt(one.next, LONGEST_WORDS)}"))
    if record.alarm:
        lines.append(Text(f"ALARM {excerpt(record.alarm, LONGEST_WORDS)}", style="bold red"))
    for event in one.events[-LAST_EVENTS:]:
        said = f"{event.at:%m-%d %H:%M:%S} {event.action} by {excerpt(event.actor)}: {excerpt(event.reason, 160)}"
        lines.append(Text(said, style="dim"))
    title = f"{record.task} · {record.model} · {record.state}{'' if record.verdict_id else ' · unguarded'}"
    return Panel(Group(*lines), title=Text(title), title_align="left", subtitle=Text(record.id), subtitle_align="right")


def _figures(one: "Standing", evidence: Mapping[str, Any]) -> Table:
    table = Table("", "calls", "failed", "median", "p95", "first chunk", "cost", "judged", "quality", box=None)
    quality = evidence.get("quality", {})
    names = {"candidate": one.record.model, "stable": one.record.stable_model}
    for arm, name in names.items():
        figures, judged = one.arms.get(arm), quality.get(arm) or {}  # pyright: ignore[reportArgumentType, reportCallIssue]
        if figures is None and not judged:
            continue
        mean = judged.get("mean")
        row = (*_of_calls(figures), str(judged.get("conversations", "-")), "-" if mean is None else f"{mean:.3f}")
        table.add_row(Text(name), *row)
    return table


def _of_calls(figures: "Arm | None") -> tuple[str, ...]:
    if figures is None:
        return ("-",) * 6
    times = (figures.median_ms, figures.p95_ms, figures.first_chunk_ms)
    cost = "-" if figures.cost_usd is None else f"${figures.cost_usd:.4f}"
    failed = f"{figures.failed} ({figures.failed / max(1, figures.calls):.1%})"
    return (str(figures.calls), failed, *["-" if time is None else f"{time:.0f} ms" for time in times], cost)


def _told(one: "Standing", evidence: Mapping[str, Any], is_fresh: bool) -> Iterator[str]:
    """Lines on what the evidence says; where none was ever written, that."""
    if not evidence:
        yield "quality: not looked at yet"
        return
    at = "" if is_fresh or one.evidence_at is None else f" (as of {one.evidence_at:%m-%d %H:%M} UTC)"
    yield f"quality{at}: {excerpt(str(evidence.get('quality', {}).get('words', '-')), LONGEST_WORDS)}"
    if (fall := evidence.get("fall")) is not None:
        of = f"{fall['scores']} conversations"
        yield f"since it serves everybody: mean {fall['mean']:.3f} on {of}, not below {fall['reference']:.3f}"
    if (split := evidence.get("split")) is not None:
        found = f"{split['candidate']} of {split['candidate'] + split['stable']} units"
        yield f"split: {found} went to the candidate, {split['expected']:.0f} were expected (p {split['p']:.2g})"
    if (spend := evidence.get("spend")) is not None:
        limit = "no limit" if spend.get("limit_usd") is None else f"of ${spend['limit_usd']:.2f}"
        period = f"${spend['period_usd']:.2f} {limit} in {spend['period'] or 'all'}"
        yield f"judging: ${spend['this_look_usd']:.4f} in this look, {period}"
