"""The picture of all deployments, by lines: what matters stands first, and what there is no room for is named.

A header with the clock, the alarms, then each deployment in as many lines as are left for it. What is shown was captured or
named by others: it can neither steer the terminal nor be taken for markup.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from continuum.commands.terminal_lines import clipped, clipped_line, cut_name, packed, wrapped
from continuum.commands.watch_block import Block, block_of, called
from continuum.commands.watch_evidence import Looked
from continuum.excerpts import excerpt

if TYPE_CHECKING:
    from continuum.deployment.standing import Standing

ALARM = "bold white on red"
LONGEST_ALARM = 1000
NARROWEST = 20
"""Cells below which nothing is laid out any more."""


@dataclass(frozen=True)
class Shown:
    """All that a picture is made of."""

    at: datetime
    """Now: a clock that stands still tells a view that is stuck."""
    standings: Sequence["Standing"] = ()
    looks: Mapping[str, Sequence[Looked]] = field(default_factory=dict)
    """By id of the deployment, the looks of this process that are still worth showing."""
    last: str = ""
    """When the deployments were last looked at, or read, in words."""
    note: str = ""
    """What goes on, or what is wrong."""


def picture(shown: Shown, width: int, height: int | None = None) -> Group:
    """The picture, in lines of at most `width` cells.

    Args:
        shown: what there is.
        width: cells of a line.
        height: lines; without it everything is told of every deployment.
    """
    return Group(*lines_of(shown, max(NARROWEST, width), height))


def lines_of(shown: Shown, width: int, height: int | None) -> list[Text]:
    """The lines of the picture."""
    ordered = _ordered(shown.standings)
    header = _header(shown, width)
    alarmed = [one for one in ordered if one.record.alarm]
    if height is None:
        alarms = [line for one in alarmed for line in _alarm(one, width)]
        blocks = [block_of(one, shown.looks.get(one.record.id, ()), shown.at, width) for one in ordered]
        return [*header, *alarms, *(line for block in blocks for line in (Text(), *block.detailed))]
    header = header[: max(1, height - 1)]
    alarms = _alarms(alarmed, width, height - len(header))
    left = height - len(header) - len(alarms)
    return [*header, *alarms, *_blocks(shown, ordered, width, left)][:height]


def _ordered(standings: Sequence["Standing"]) -> list["Standing"]:
    """Those with an alarm first, and the youngest first among equals."""
    youngest = sorted(standings, key=lambda one: one.record.created_at, reverse=True)
    return sorted(youngest, key=lambda one: not one.record.alarm)


def _header(shown: Shown, width: int) -> list[Text]:
    count, alarms = len(shown.standings), sum(bool(one.record.alarm) for one in shown.standings)
    many = "no deployment is to be led" if not count else f"{count} deployment{'' if count == 1 else 's'}"
    parts = [Text(f"{shown.at:%H:%M:%S} UTC", style="bold"), Text(many)]
    if alarms:
        parts.append(Text(f"{alarms} ALARM{'' if alarms == 1 else 'S'}", style=ALARM))
    elif count:
        parts.append(Text("no alarm", style="green"))
    if shown.last:
        parts.append(Text(shown.last, style="dim"))
    lines = packed(parts, width)
    if shown.note:
        lines += wrapped(Text(excerpt(shown.note, LONGEST_ALARM), style="yellow"), width, indent=2)
    return lines


def _alarm(one: "Standing", width: int) -> list[Text]:
    words = f"{called(one.record)}: {excerpt(one.record.alarm or '', LONGEST_ALARM)}"
    return wrapped(Text().append("ALARM", style=ALARM).append(f" {words}", style="bold"), width, indent=2)


def _alarms(alarmed: Sequence["Standing"], width: int, room: int) -> list[Text]:
    """All of every alarm; where that is more than the screen, a line of each; where even those are too many, how many."""
    whole = [_alarm(one, width) for one in alarmed]
    if sum(map(len, whole)) <= room:
        return [line for lines in whole for line in lines]
    if len(whole) <= room:
        return [clipped_line(Text(" ").join([lines[0], *(_stripped(line) for line in lines[1:])]), width) for lines in whole]
    kept = [lines[0] for lines in whole[: max(0, room - 1)]]
    return [*kept, Text(clipped(f"… and {len(whole) - len(kept)} ALARMS more", width), style="bold")]


def _stripped(line: Text) -> Text:
    return line[len(line.plain) - len(line.plain.lstrip()) :]


def _blocks(shown: Shown, ordered: Sequence["Standing"], width: int, room: int) -> list[Text]:
    """Each deployment in a line; as far as there is room, in two, with its figures, and with all its details, the first first."""
    blocks = [block_of(one, shown.looks.get(one.record.id, ()), shown.at, width) for one in ordered]
    more = room - 1 if len(blocks) > 1 else room  # one line says what is left out
    chosen = _chosen(blocks, more)
    whole = len(chosen) == len(blocks) and all(rows == block.detailed for rows, block in zip(chosen, blocks, strict=True))
    airy = whole and sum(map(len, chosen)) + len(chosen) <= more
    lines = [line for rows in chosen for line in ([Text(), *rows] if airy else rows)]
    hidden = ordered[len(chosen) :]
    if hidden:
        lines.append(_left_out(hidden, width))
    elif len(blocks) > 1 and not whole:
        lines.append(Text(clipped("… details: continuum watch TASK", width), style="dim"))
    return lines


def _chosen(blocks: Sequence[Block], room: int) -> list[list[Text]]:
    chosen: list[list[Text]] = []
    for block in blocks:
        if sum(map(len, chosen)) + len(block.brief) > room:
            break
        chosen.append(block.brief)
    left = room - sum(map(len, chosen))
    for larger in ([block.short for block in blocks], [block.compact for block in blocks]):
        for number, rows in enumerate(larger[: len(chosen)]):
            if len(rows) - len(chosen[number]) <= left:
                left -= len(rows) - len(chosen[number])
                chosen[number] = rows
    for number, block in enumerate(blocks[: len(chosen)]):
        fits = block.detailed[: len(chosen[number]) + left]
        if len(fits) < block.least:
            break
        left -= len(fits) - len(chosen[number])
        chosen[number] = fits
    return chosen


def _left_out(hidden: Sequence["Standing"], width: int) -> Text:
    tasks = list(dict.fromkeys(excerpt(one.record.task) for one in hidden))
    first = cut_name(tasks[0], max(8, width // 3))
    others = f" (also {', '.join(tasks[1:])})" if tasks[1:] else ""
    return Text(clipped(f"… and {len(hidden)} more: continuum watch {first}{others}", width), style="bold")
