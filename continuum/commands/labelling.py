"""People's verdicts, in the terminal or on a page."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from continuum.commands.terminal import Json, Port, Task, complain, console, print_json, run, say, show_table
from continuum.store import default_store

if TYPE_CHECKING:
    from continuum.annotation.label_agreement import LabelAgreement
    from continuum.annotation.labelling import Labelling
    from continuum.statistics.agreement import Agreement

QueueName = Literal["audit", "useful", "anchor", "golden"]


def label(
    task: Task,
    queue: Annotated[
        QueueName,
        typer.Option(
            help="audit: drawn at random. useful: chosen to teach most. anchor: random, never trained on. "
            "golden: to join the golden dataset."
        ),
    ] = "audit",
    labeller: Annotated[str | None, typer.Option("--as", help="Your name; the login name when left out.")] = None,
    overlap: Annotated[
        int | None, typer.Option(min=1, help="People asked about one item; 2, and 1 for useful and golden, when left out.")
    ] = None,
    page: Annotated[bool, typer.Option("--page", help="Label in the browser.")] = False,
    host: Annotated[str, typer.Option(help="Address the page listens on.")] = "127.0.0.1",
    port: Port = 8793,
    show: Annotated[bool, typer.Option("--show", help="Print how far the queues are and how far people agree, and end.")] = False,
    as_json: Json = False,
) -> None:
    """Score and correct answers; the judge's opinion is shown after yours."""
    from continuum.annotation.labelling import Labelling

    if as_json and not (show or page):
        raise typer.BadParameter("--json goes with --show or --page: labelling in a terminal is a conversation")
    labelling = Labelling(default_store(), task, queue, labeller=labeller, overlap=overlap)
    if show:
        _show(labelling, as_json)
    elif page:
        run(_serve(labelling, host, port, as_json))
    else:
        _in_terminal(labelling)


def _in_terminal(labelling: "Labelling") -> None:
    from continuum.commands.label_terminal import LabelTerminal

    before = labelling.progress()
    if not before.total:
        say(f"the {labelling.queue} queue of {labelling.task} is empty; {labelling.how_to_fill()}")
        return
    LabelTerminal(labelling, console).run()
    counts = labelling.progress()
    mine = counts.verdicts.get(labelling.labeller, 0)
    say(
        f"{labelling.labeller}: {mine} {'verdict' if mine == 1 else 'verdicts'} in the {labelling.queue} queue, "
        f"{counts.left} left; {counts.with_verdict} of {counts.total} items have a verdict"
    )


async def _serve(labelling: "Labelling", host: str, port: int, as_json: bool) -> None:
    from continuum.annotation.label_page.server import LabelPage
    from continuum.deployment.serving import stop_signal
    from continuum.loopback import is_loopback

    if not is_loopback(host):
        complain(
            f"warning: listening on {host}, which other machines may reach; traffic to the page is not encrypted, and whoever "
            f"has its address labels as {labelling.labeller}"
        )
    stop = stop_signal()
    async with LabelPage(labelling, host=host, port=port) as page:
        if as_json:
            print_json({"url": page.url, "task": labelling.task, "labeller": labelling.labeller}, in_a_line=True)
        else:
            say(
                f"label {labelling.task} as {labelling.labeller} at {page.url}\nvotes are stored as they are cast; Ctrl-C ends it"
            )
        await stop.wait()


def _show(labelling: "Labelling", as_json: bool) -> None:
    from continuum.annotation.label_agreement import agreement_of
    from continuum.annotation.labelling import QUEUES

    queues = [labelling if queue == labelling.queue else labelling.beside(queue) for queue in QUEUES]
    if as_json:
        found = {one.queue: vars(one.progress()) | {"agreement": agreement_of(one.store, one.task, one.queue)} for one in queues}
        print_json({"task": labelling.task, "labeller": labelling.labeller, "queues": found})
        return
    table = Table("queue", "items", "with a verdict", f"left for {labelling.labeller}", "verdicts by", box=None)
    for one in queues:
        counts = one.progress()
        by = ", ".join(f"{name} {count}" for name, count in counts.verdicts.items() if count) or "-"
        table.add_row(one.queue, str(counts.total), str(counts.with_verdict), str(counts.left), Text(by))
    show_table(table)
    for one in queues:
        if not one.progress().total:
            say(f"{one.queue} is empty; {one.how_to_fill()}")
        elif one.progress().with_verdict:
            for line in _agreement(agreement_of(one.store, one.task, one.queue)):
                say(f"{one.queue}: {line}")


def _agreement(found: "LabelAgreement") -> list[str]:
    """The agreement of one queue, in lines."""
    lines = [f"{found.shared} items scored by two people or more" + (f"; {_figure(found.people)}" if found.people else "")]
    if len(found.pairs) > 1:
        lines += [
            f"{pair.first} and {pair.second}, {pair.items} items" + (f"; {_figure(pair.kappa)}" if pair.kappa else "")
            for pair in found.pairs
        ]
    judge = found.judge
    if judge.difference is not None:
        by = f"{abs(judge.difference):.2f} {'lower' if judge.difference < 0 else 'higher'}"
        kappa = f"; {_figure(judge.kappa)}" if judge.kappa else ""
        lines.append(f"the judge, {judge.items} items: {by} than people on average{kappa}")
    return lines


def _figure(found: "Agreement") -> str:
    return f"{found.statistic} {found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
