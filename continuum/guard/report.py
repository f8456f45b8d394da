"""A verdict for people: Markdown for Dagster, a table for the terminal; the page is in `guard/html.py`."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continuum.errors import ConfigurationError, StoreError
from continuum.excerpts import excerpt, prose
from continuum.guard import reading
from continuum.guard.pairs import Gate, Outcome
from continuum.guard.reading import SENTENCE, Finding, Section, headline, interval, level, permission, plain_number, signed
from continuum.records import Verdict

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from continuum.tracking.tracker import Tracker

logger = logging.getLogger(__name__)

__all__ = [
    "files_of",
    "headline",
    "log_beside",
    "permission",
    "print_verdict",
    "report_form",
    "to_json",
    "to_markdown",
    "verdict_table",
    "write_report",
]

UNBOUNDED = 10_000
"""Columns of an output without a screen."""
CHECKS = (
    "check",
    "baseline",
    "candidate",
    "delta",
    "95%",
    "allowed",
    "p of regression",
    "level",
    "detectable",
    "needed",
    "outcome",
)
NATS = ("nats a token, lower is better", "candidate", "baseline", "base", "change (95%)", "documents")
CONSTRAINTS = ("constraint", "broken", "at most (95%)", "held out: broken", "at most (95%)", "broken by the baseline")


def to_markdown(verdict: Verdict) -> str:
    """The whole report: what was found on each check, the worst answers, and what to keep in mind.

    Every text of a user, a model or a policy is escaped: it cannot draw, link or load anything.
    """
    evidence = verdict.evidence
    told = (reading.needed, reading.false_block_words, reading.ledger_words, reading.audit_words)
    lines = [f"**{prose(headline(verdict), SENTENCE)}**", ""]
    lines += [f"{prose(words, SENTENCE)}\n" for words in (tell(verdict) for tell in told) if words]
    lines += _listed("Failed checks:", reading.failed(verdict))
    lines += _listed("Left open:", reading.left_open(verdict))
    for section in reading.sections(verdict):
        lines += [*_section(section), ""]
    if reading.sections(verdict):
        lines += [reading.EXPLAINED, ""]
    if rows := reading.nats(verdict):
        lines += [*_table(NATS, rows), ""]
    lines += _constraints(verdict)
    for item in evidence.get("worst", ()):
        lines += [*_worst_lines(item), ""]
    if loss := evidence.get("loss"):
        lines += [_loss_line(loss), ""]
    lines += _listed("To keep in mind:", reading.notes(verdict))
    if "fingerprint" in evidence:
        lines += [f"Evidence `{evidence['fingerprint'][:12]}`, golden set `{evidence['golden']['fingerprint'][:12]}`.", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def report_form(path: str | Path) -> Callable[[Verdict], str]:
    """What writes a report of the form that a file's name ends in.

    Raises:
        ConfigurationError: there is none of that form.
    """
    from continuum.guard.html import to_html
    from continuum.guard.junit import to_junit

    forms: dict[str, Callable[[Verdict], str]] = {".html": to_html, ".md": to_markdown, ".json": to_json, ".xml": to_junit}
    form = forms.get(Path(path).suffix.lower())
    if form is None:
        raise ConfigurationError(f"a report cannot be written to {str(path)!r}; its name must end in one of {', '.join(forms)}")
    return form


def write_report(verdict: Verdict, path: str | Path) -> Path:
    """Write a report in the form that the file's name ends in: `.html`, `.md`, `.json`, or `.xml` for JUnit.

    Raises:
        ConfigurationError: there is no such form, or the file cannot be written.
    """
    target = Path(path)
    text = report_form(target)(verdict)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"the report cannot be written to {target}: {error.strerror}; name another file") from error
    return target


def files_of(verdict: Verdict) -> dict[str, str]:
    """The reports that a tracker shows beside a run, by file name."""
    return {f"report{ending}": report_form(f"report{ending}")(verdict) for ending in (".html", ".md")}


def log_beside(tracker: "Tracker", run_id: str, verdict: Verdict) -> None:
    """Log a verdict in the run of its candidate's training. Where that fails it is told, and the verdict stands: it is stored."""
    try:
        tracker.log_verdict(verdict, run_id, files_of(verdict), reading.figures(verdict))
    except StoreError as error:
        logger.warning("verdict %s is not logged beside its candidate's training: %s", verdict.id, error)


def to_json(verdict: Verdict) -> str:
    """All of the verdict; `Verdict.model_validate_json` reads it back to the last bit."""
    return verdict.model_dump_json(indent=2) + "\n"


def verdict_table(verdict: Verdict) -> "Table":
    """The verdict as a table for the terminal; 80 columns hold its numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    # Text, not markup: answers may hold square brackets.
    title, caption = Text(headline(verdict)), Text("\n".join(_told(verdict)))
    table = Table(
        title=title, caption=caption, title_justify="left", caption_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False
    )
    for column in ("metric", "baseline", "candidate", "delta", "95%", "allowed", "p", "outcome"):
        # A long name is broken, never a number.
        justify = "left" if column in {"metric", "outcome"} else "right"
        table.add_column(column, justify=justify, no_wrap=column != "metric", overflow="fold")
    for one in _on_screen(verdict):
        table.add_row(*(Text(cell) for cell in (one.label, *_numbers(one), one.outcome.value)))
    return table


def print_verdict(verdict: Verdict, console: "Console") -> None:
    """Print the table; where the output is no terminal it is as wide as its words, for no screen ends there."""
    table = verdict_table(verdict)
    if not console.is_terminal:
        table.width = console.measure(table, options=console.options.update(width=UNBOUNDED)).maximum
    console.print(table, crop=False)


def _on_screen(verdict: Verdict) -> list[Finding]:
    """The checks a terminal shows: of the slices only what did not pass and decides something."""
    return [one for one in reading.findings(verdict) if one.gate != Gate.SLICE or _noteworthy(one)]


def _noteworthy(one: Finding) -> bool:
    return one.outcome != Outcome.PASSED and not one.number("reported")


def _told(verdict: Verdict) -> list[str]:
    """What is said under the table."""
    lines = [*reading.failed(verdict), *reading.left_open(verdict)]
    slices = [one for one in reading.findings(verdict) if one.gate == Gate.SLICE]
    if quiet := [one for one in slices if not _noteworthy(one)]:
        lines.append(f"{len(quiet)} of {len(slices)} slice checks passed or are only reported; the report has them all")
    found = [f"{one.label} {one.number('mde'):.3f}" for one in _on_screen(verdict) if one.number("mde") is not None]
    if found:
        lines.append(f"drops below what is allowed that would have been found 4 times in 5: {', '.join(found)}")
    if constraints := reading.constraints(verdict):
        lines.append(f"constraints: {constraints.words}")
    told = (reading.needed, reading.false_block_words, reading.ledger_words, reading.audit_words)
    lines += [words for words in (tell(verdict) for tell in told) if words]
    lines += reading.notes(verdict)
    if worst := verdict.evidence.get("worst"):
        asked, said = (excerpt(worst[0][name] or "(no answer)", SENTENCE) for name in ("question", "candidate_answer"))
        lines.append(f"worst answer, to {asked!r}: {said!r}")
    return lines


def _numbers(one: Finding) -> list[str]:
    """Both means, the delta, its interval, what is allowed, and the p of regression."""
    means = [plain_number(one.number(f"{arm}_mean")) for arm in ("baseline", "candidate")]
    return [*means, signed(one.number("delta")), interval(one), signed(one.min_delta, 2), reading.p_words(one)]


def _section(section: Section) -> list[str]:
    words = [prose(section.words, SENTENCE), ""] if section.words else []
    rows = []
    for one in section.findings:
        tested = level(one.number("level")) if one.number("level") is not None else "-"
        rows.append(
            [
                prose(one.label),
                *_numbers(one),
                tested,
                plain_number(one.number("mde")) or "-",
                str(one.number("required_examples") or "-"),
                one.word,
            ]
        )
    return [f"### {section.title}", "", *words, *_table(CHECKS, rows, escaped=True)]


def _constraints(verdict: Verdict) -> list[str]:
    found = reading.constraints(verdict)
    if found is None:
        return []
    lines = ["### Constraints", "", f"{prose(found.words, SENTENCE)}\n", *_table(CONSTRAINTS, found.rows), ""]
    for one in found.newly:
        said = (
            ("newly broken", one.constraint),
            ("asked", one.question),
            ("baseline", one.baseline),
            ("candidate", one.candidate),
        )
        lines += [*_quotes(said), ""]
    return lines


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    return [title, "", *(f"- {prose(words, SENTENCE)}" for words in lines), ""] if lines else []


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, escaped: bool = False) -> list[str]:
    body = [row if escaped else [prose(row[0], SENTENCE), *row[1:]] for row in rows]
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *body)]


def _worst_lines(item: Mapping[str, Any]) -> list[str]:
    def arm(name: str) -> tuple[str, str]:
        scores = ", ".join(f"{metric} {value:.2f}" for metric, value in item[f"{name}_scores"].items())
        return f"{name} ({scores})", item[f"{name}_answer"] or "(no answer)"

    return _quotes((("asked", item["question"]), arm("baseline"), arm("candidate")))


def _quotes(lines: Iterable[tuple[str, str]]) -> list[str]:
    """Who said what, as a quotation in which the words are plain text."""
    quoted = [f"> **{prose(who)}** {prose(words, SENTENCE)}" for who, words in lines]
    return "\n>\n".join(quoted).split("\n")


def _loss_line(loss: Mapping[str, Any]) -> str:
    before = "" if loss["baseline"] is None else f", baseline {loss['baseline']:.3f}"
    losses = f"candidate {loss['candidate']:.3f}{before}, base {loss['base']:.3f}"
    return f"Loss on {loss['items']} references, nats a token: {losses} (reported, not gated)."
