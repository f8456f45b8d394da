"""A verdict as one page of HTML: nothing to load, nothing that runs, and a forest plot."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from continuum.excerpts import excerpt
from continuum.guard import reading
from continuum.guard.forest import Axis, axis_strip, legend, strip, word
from continuum.guard.html_style import STYLE
from continuum.guard.reading import SENTENCE, SIGNS, Finding, Section, interval, level, plain_number, signed
from continuum.records import Verdict
from continuum.report_page import page_of

NUMBERS = (
    "check",
    "baseline",
    "candidate",
    "items",
    "groups",
    "p of regression",
    "p of approval",
    "level",
    "detectable",
    "needed",
)


def to_html(verdict: Verdict) -> str:
    """The whole report as a page that stands for itself.

    Every text of a user, a model or a policy is escaped, and marks that steer a terminal, hide or turn writing are left out.
    """
    parts = [
        _opening(verdict),
        legend(),
        *(_section(section) for section in reading.sections(verdict)),
        _capability(verdict),
        _constraints(verdict),
        _worst(verdict.evidence.get("worst", ())),
        _listed("To keep in mind", reading.notes(verdict)),
        _origin(verdict),
    ]
    return page_of(reading.headline(verdict), STYLE, parts)


def _opening(verdict: Verdict) -> str:
    evidence = verdict.evidence
    size = f"{evidence['golden']['items']} golden items in {evidence['golden']['groups']} groups"
    against = f"{evidence['candidate']['model']} against {evidence['baseline']['model']}"
    lines = [
        f'<p class="badge {verdict.status.value}">{SIGNS[verdict.status]} {verdict.status.upper()}</p>',
        f"<h1>{_text(against)}: {_text(reading.permission(verdict))}</h1>",
        f'<p class="soft">{_text(size)} of {_text(evidence["golden"]["name"])}</p>',
    ]
    told = (reading.needed, reading.false_block_words, reading.ledger_words, reading.audit_words)
    lines += [f"<p>{_text(words)}</p>" for words in (tell(verdict) for tell in told) if words]
    lines += [_listed("Failed checks", reading.failed(verdict)), _listed("Left open", reading.left_open(verdict))]
    return "\n".join(line for line in lines if line)


def _section(section: Section) -> str:
    axis = Axis.of(section.findings)
    rows = "".join(_row(one, axis) for one in section.findings)
    drawn = any(one.compared for one in section.findings)
    below = f'<li class="row axis"><span></span><span class="strip-cell">{axis_strip(axis)}</span></li>' if drawn else ""
    words = f'<p class="soft">{_text(section.words)}</p>' if section.words else ""
    return f'<section><h2>{_text(section.title)}</h2>{words}<ul class="plot">{rows}{below}</ul>{_numbers(section)}</section>'


def _row(one: Finding, axis: Axis) -> str:
    value = f"{signed(one.number('delta'))} ({interval(one)})" if one.compared else one.words
    return (
        f'<li class="row"><span class="label">{_text(one.label)}</span><span class="strip-cell">{strip(one, axis)}</span>'
        f'<span class="value">{_text(value)}</span>'
        f'<span class="outcome {word(one.outcome)}">{one.word}</span></li>'
    )


def _numbers(section: Section) -> str:
    rows = [
        [
            one.label,
            plain_number(one.number("baseline_mean")),
            plain_number(one.number("candidate_mean")),
            str(one.number("items") or 0),
            str(one.number("groups") or 0),
            reading.p_words(one),
            plain_number(one.number("p_not_worse")) or "-",
            level(one.number("level")) if one.number("level") is not None else "-",
            plain_number(one.number("mde")) or "-",
            str(one.number("required_examples") or "-"),
        ]
        for one in section.findings
    ]
    tests = sorted({excerpt(str(one.number("test")), SENTENCE) for one in section.findings if one.number("test")})
    used = f"Tests: {'; '.join(tests)}. " if tests else ""
    explained = f'<p class="soft">{_text(used + reading.EXPLAINED)}</p>'
    return f"<details><summary>Numbers</summary>{_table(NUMBERS, rows)}{explained}</details>"


def _capability(verdict: Verdict) -> str:
    rows = reading.nats(verdict)
    heads = ("nats a token, lower is better", "candidate", "baseline", "base", "change (95%)", "documents")
    return f"<section><h3>Loss on texts</h3>{_table(heads, rows)}</section>" if rows else ""


def _constraints(verdict: Verdict) -> str:
    found = reading.constraints(verdict)
    if found is None:
        return ""
    heads = ("constraint", "broken", "at most (95%)", "held out: broken", "at most (95%)", "broken by the baseline")
    cards = [
        _card(
            (
                ("constraint", one.constraint),
                ("asked", one.question),
                ("baseline", one.baseline),
                (f"candidate ({one.by})", one.candidate),
            )
        )
        for one in found.newly
    ]
    newly = f"<h3>✗ Newly broken: kept by the baseline, broken by the candidate</h3>{''.join(cards)}" if cards else ""
    return f"<section><h2>Constraints</h2><p>{_text(found.words)}</p>{newly}{_table(heads, found.rows)}</section>"


def _worst(worst: Sequence[Mapping[str, Any]]) -> str:
    if not worst:
        return ""

    def arm(item: Mapping[str, Any], name: str) -> tuple[str, str]:
        scores = ", ".join(f"{metric} {value:.2f}" for metric, value in item[f"{name}_scores"].items())
        return f"{name} ({scores})", item[f"{name}_answer"] or "(no answer)"

    cards = (_card((("asked", item["question"]), arm(item, "baseline"), arm(item, "candidate"))) for item in worst)
    return f"<section><h2>Worst answers</h2>{''.join(cards)}</section>"


def _origin(verdict: Verdict) -> str:
    evidence = verdict.evidence
    told = {
        "verdict": verdict.id,
        "at": f"{verdict.created_at:%Y-%m-%d %H:%M} UTC",
        "evidence": evidence.get("fingerprint"),
        "golden set": f"{evidence['golden']['name']} {evidence['golden']['fingerprint']}",
        "judge": " ".join(str(value) for value in evidence.get("judge", {}).values() if value) or "none",
        "candidate": f"{verdict.checkpoint_id}, base {evidence['candidate'].get('base_model')}",
        "baseline": verdict.baseline,
        "rule": ", ".join(f"{name} {value}" for name, value in evidence.get("rule", {}).items() if value is not None),
        "seeds": ", ".join(f"{name} {value}" for name, value in evidence.get("seeds", {}).items() if value is not None) or "none",
        "versions": ", ".join(f"{name} {value}" for name, value in evidence.get("versions", {}).items()),
    }
    files = {
        f"{arm}: {name}": digest
        for arm in ("candidate", "baseline")
        for name, digest in (evidence[arm].get("files") or {}).items()
    }
    return f"<section><h2>Where this comes from</h2>{_pairs(told)}{_folded('Files of the models', files)}</section>"


def _folded(title: str, values: Mapping[str, Any]) -> str:
    return f"<details><summary>{_text(title)}</summary>{_pairs(values)}</details>" if values else ""


def _pairs(values: Mapping[str, Any]) -> str:
    shown = (f"<dt>{_text(name)}</dt><dd><code>{_text(str(value))}</code></dd>" for name, value in values.items() if value)
    return f"<dl>{''.join(shown)}</dl>"


def _card(lines: Iterable[tuple[str, str]]) -> str:
    shown = (f'<p><span class="who">{_text(who)}</span><bdi>{_text(words)}</bdi></p>' for who, words in lines)
    return f'<div class="card">{"".join(shown)}</div>'


def _listed(title: str, lines: Sequence[str]) -> str:
    return f"<h3>{_text(title)}</h3><ul>{''.join(f'<li>{_text(line)}</li>' for line in lines)}</ul>" if lines else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _text(words: str) -> str:
    """Someone's words as text of a page, in one line."""
    return escape(excerpt(words, SENTENCE))
