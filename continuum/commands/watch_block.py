"""One deployment in the view: in a line, in two, with its figures, or with all its details."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from continuum.commands.terminal_lines import clipped, cut_name, packed, wrapped
from continuum.commands.watch_evidence import (
    LONGEST_WORDS,
    Looked,
    Quality,
    Scored,
    compared_words,
    event_line,
    found_words,
    last_quality,
    percent,
    told_in_details,
)
from continuum.excerpts import excerpt
from continuum.serving_records import DeploymentRecord, DeploymentState

if TYPE_CHECKING:
    from continuum.deployment.standing import Arm, Standing

LAST_EVENTS = 5
"""Told in the details, the newest first."""
INDENT = 2
STYLES = {
    DeploymentState.PENDING: "dim",
    DeploymentState.WARMING: "dim",
    DeploymentState.CANARY: "cyan",
    DeploymentState.PAUSED: "yellow",
    DeploymentState.PROMOTING: "cyan",
    DeploymentState.LIVE: "green",
}
"""Of a state's words; the others are red."""


@dataclass(frozen=True)
class Block:
    """A deployment's lines, by how many there is room for."""

    brief: list[Text]
    """Who it is, in which state, and at which share."""
    short: list[Text]
    """The same with the judged quality, and what else that line has room for."""
    compact: list[Text]
    """The same with all of both arms' figures, and what is next."""
    detailed: list[Text]
    """All there is, the most important first."""
    least: int
    """So many lines of these say what the compact ones say."""


@dataclass(frozen=True)
class Column:
    """A figure of both arms."""

    title: str
    rank: int
    """Columns of the highest ranks are the first to go where there is no room."""
    of: "Callable[[Arm | None, Scored | None], str]"


def block_of(one: "Standing", looks: Sequence[Looked], now: datetime, width: int) -> Block:
    """A deployment's lines.

    Args:
        one: where it stands.
        looks: of this process.
        now: the moment.
        width: cells of a line.
    """
    record, quality = one.record, last_quality(one, looks)
    who = _identity(record, width)
    next_ = _in_this_year(excerpt(one.next, LONGEST_WORDS), now)
    figures = packed(_figures(one, quality, now), width, indent=INDENT)
    compact = [*who, *figures, Text(clipped(f"{' ' * INDENT}next: {next_}", width))]
    next_lines = _indented(Text(f"next: {next_}"), width)
    found = Text("" if quality is None else found_words(quality, record.state, now), style="dim")
    first = [*who, *_table(one, quality, width), *(_indented(found, width) if found.plain else []), *next_lines]
    said = list(told_in_details(one, looks, quality, now))
    rows = [line for words in said for line in _indented(Text(words), width)]
    already = "\n".join((next_, record.alarm or "", *said))
    events = [event_line(event, already) for event in reversed(one.events[-LAST_EVENTS:])]
    told = [Text(clipped(f"{' ' * INDENT}{line}", width), style="dim") for line in events]
    return Block(who, [*who, *figures[:1]], compact, [*first, *rows, *told], len(first))


def called(record: DeploymentRecord) -> str:
    """A deployment by its model, with its task where the model's name does not say it."""
    task, model = excerpt(record.task), excerpt(record.model)
    return model if model.startswith(f"{task}-v") else f"{task} · {model}"


def _identity(record: DeploymentRecord, width: int) -> list[Text]:
    cells = 20 if width >= 100 else 10 if width >= 60 else 6
    state = Text(record.state.value.replace("_", " "), style=f"bold {STYLES.get(record.state, 'red')}")
    parts = [Text(cut_name(called(record), width - 2), style="bold"), state]
    if not record.verdict_id:
        parts.append(Text("unguarded", style="yellow"))
    parts.append(_bar(record.traffic, cells).append(f" {_share(record, width)}"))
    first, *more = packed(parts, width - INDENT, between="  ")
    return [first, *(Text(" " * INDENT).append_text(line) for line in more)]


def _bar(share: float, cells: int) -> Text:
    """A bar that is neither empty nor full unless the share is."""
    filled = round(cells * share)
    filled = min(max(filled, 1), cells - 1) if 0 < share < 1 else filled
    return Text().append("█" * filled, style="cyan").append("░" * (cells - filled), style="dim")


def _share(record: DeploymentRecord, width: int) -> str:
    stable = cut_name(excerpt(record.stable_model), max(10, width // 3))
    rest = "" if record.traffic >= 1 else f", the rest {stable}" if record.traffic > 0 else f", {stable} answers"
    shadow = f", and {percent(record.shadow)} in the shadow" if record.shadow else ""
    return f"{percent(record.traffic)}{rest}{shadow}"


def _figures(one: "Standing", quality: Quality | None, now: datetime) -> list[Text]:
    parts = [Text(compared_words(quality, one.record.state, now))]
    arms = [one.arms.get("candidate"), one.arms.get("stable")]
    if not any(arms):
        return [*parts, Text("no calls yet", style="dim")]
    if any(arm is not None and arm.failed for arm in arms):
        shares = [0.0 if arm is None else arm.failed / max(1, arm.calls) for arm in arms]
        parts.append(Text(f"failed {_against(arms, _failed_share)}", style="yellow" if shares[0] > shares[1] else ""))
    if any(arm is not None and arm.median_ms is not None for arm in arms):
        parts.append(Text(f"median {_against(arms, lambda arm: _ms(arm.median_ms))}"))
    if any(arm is not None and arm.cost_usd is not None for arm in arms):
        parts.append(Text(f"cost {_against(arms, lambda arm: f'{_usd(arm.cost_usd)} for {arm.calls} calls')}"))
    return parts


def _against(arms: "Sequence[Arm | None]", of: "Callable[[Arm], str]") -> str:
    candidate, stable = arms
    said = "-" if candidate is None else of(candidate)
    return said if stable is None else f"{said} against {of(stable)}"


def _in_this_year(words: str, now: datetime) -> str:
    """The words without the year of a time in this year, which nobody needs and which a narrow terminal has no room for."""
    return re.sub(rf"\b{now.year}-(\d\d-\d\d \d\d:\d\d UTC)", r"\1", words)


def _indented(words: Text, width: int) -> list[Text]:
    return [Text(" " * INDENT).append_text(line) for line in wrapped(words, width - INDENT, indent=INDENT)]


# --- the table of both arms ------------------------------------------------------------------------------------------


def _table(one: "Standing", quality: Quality | None, width: int) -> list[Text]:
    """A line of titles and one for each arm that did anything, right-aligned; columns that have no room are left out."""
    scored = (
        {"candidate": None, "stable": None} if quality is None else {"candidate": quality.candidate, "stable": quality.stable}
    )
    names = {"candidate": one.record.model, "stable": one.record.stable_model}
    rows = []
    for arm, name in names.items():
        figures, judged = one.arms.get(arm), scored[arm]  # pyright: ignore[reportArgumentType, reportCallIssue]
        if figures is not None or (judged is not None and judged.conversations):
            rows.append((excerpt(name), [column.of(figures, judged) for column in COLUMNS]))
    if not rows:
        return []
    widths = [max(cell_len(text) for text in (column.title, *(row[n] for _, row in rows))) for n, column in enumerate(COLUMNS)]
    longest = max(cell_len(name) for name, _ in rows)
    names_width = min(longest, max(12, width // 3))
    kept = _kept(widths, width - INDENT - names_width)
    names_width = min(longest, width - INDENT - sum(widths[n] + 2 for n in kept))
    lines = [Text(_row("", [column.title for column in COLUMNS], widths, kept, names_width), style="dim")]
    return [*lines, *(Text(_row(name, row, widths, kept, names_width)) for name, row in rows)]


def _kept(widths: Sequence[int], room: int) -> list[int]:
    """The columns that there is room for, by their rank, in their order."""
    kept: list[int] = []
    for number in sorted(range(len(COLUMNS)), key=lambda n: COLUMNS[n].rank):
        room -= widths[number] + 2
        if room < 0:
            break
        kept.append(number)
    return sorted(kept)


def _row(name: str, row: Sequence[str], widths: Sequence[int], kept: Sequence[int], names_width: int) -> str:
    short = cut_name(name, names_width)
    cells = "".join(f"  {' ' * (widths[n] - cell_len(row[n]))}{row[n]}" for n in kept)
    return f"{' ' * INDENT}{short}{' ' * (names_width - cell_len(short))}{cells}"


def _mean(figures: "Arm | None", scored: Scored | None) -> str:
    return "-" if scored is None or scored.mean is None else f"{scored.mean:.3f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _usd(value: float | None) -> str:
    return "-" if value is None else f"${value:.4f}"


def _failed_share(arm: "Arm") -> str:
    return f"{arm.failed / max(1, arm.calls):.1%}"


def _of_arm(said: "Callable[[Arm], str]") -> "Callable[[Arm | None, Scored | None], str]":
    return lambda figures, scored: "-" if figures is None else said(figures)


COLUMNS = (
    Column("quality", 0, _mean),
    Column("judged", 1, lambda figures, scored: "-" if scored is None else str(scored.conversations)),
    Column("calls", 4, _of_arm(lambda arm: str(arm.calls))),
    Column("failed", 3, _of_arm(lambda arm: f"{arm.failed} ({_failed_share(arm)})")),
    Column("median", 2, _of_arm(lambda arm: _ms(arm.median_ms))),
    Column("p95", 6, _of_arm(lambda arm: _ms(arm.p95_ms))),
    Column("first chunk", 7, _of_arm(lambda arm: _ms(arm.first_chunk_ms))),
    Column("cost", 5, _of_arm(lambda arm: _usd(arm.cost_usd))),
)
