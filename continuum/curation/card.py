"""The card of a dataset version: `README.md` with pictures, for people, and with front matter, for Hugging Face's loader.

Everything captured stands in it as a short code span, so that no word of a user is markup, a link or a line of the front matter.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from continuum.curation.findings import LEFT_OUT, SOURCES, classes_of, coverage_words, funnel, generations, left_out
from continuum.dataset import Dataset
from continuum.dataset_rows import VALIDATION, settle
from continuum.excerpts import prose, quoted

CARD = "README.md"
HOLDS = {
    "examples": "what to learn: `messages` in chat form, the answer last",
    "preferences": "two answers to one prompt, for DPO: `prompt`, `chosen`, `rejected`",
    "rated_answers": "answers that people called good or bad, for KTO: `prompt`, `completion`, `label`",
    "control": "as many eligible rows as were chosen, drawn at random, in the form of the examples",
    "removed": "ids of good answers that were taken out, and why; no words",
}
MOST_ROWS = 60
MOST_PARTS = 12


def write_card(dataset: Dataset, folder: Path) -> Path:
    """Write the card and its pictures into a version's folder; returns the card's path."""
    from continuum.curation.plots import draw_coverage, draw_funnel, draw_generations, draw_scores  # matplotlib starts here

    pictures = folder / "plots"
    draw_funnel(pictures / "funnel.png", funnel(dataset))
    levels = {source: Counter(_level(one.score) for one in dataset if one.score_source == source) for source in SOURCES}
    chosen = {SOURCES[source]: counts for source, counts in levels.items() if counts}
    draw_scores(pictures / "scores.png", dataset.manifest.get("score_histogram", {}), chosen)
    if classes := classes_of(dataset):
        shown = [(str(n), one.eligible, one.selected, one.control) for n, one in enumerate(classes, start=1)]
        draw_coverage(pictures / "coverage.png", shown)
    eligible, selected = generations(dataset)
    if eligible.keys() | selected.keys() > {0}:
        draw_generations(pictures / "generations.png", eligible, selected)
    text = card_of(dataset)
    settle(folder / CARD, lambda path: path.write_text(text, encoding="utf-8"))
    return folder / CARD


def card_of(dataset: Dataset) -> str:
    """The card as text; it shows the pictures that `write_card` leaves beside it."""
    sections = [
        _front_matter(dataset),
        _opening(dataset),
        _holds(dataset),
        _made(dataset),
        _scores(dataset),
        _coverage(dataset),
        _removed(dataset),
        _kept_apart(dataset),
        _generations(dataset),
        _control(dataset),
        _spoken(dataset),
        _limits(dataset),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def facts(report: Mapping[str, Any], within: str = "") -> list[tuple[str, str]]:
    """The plain numbers and words of a stage's report, made harmless, part by part; lists are told by their length."""
    told: list[tuple[str, str]] = []
    for name, value in report.items():
        label = prose(f"{within}{name.replace('_', ' ')}", 60)
        if isinstance(value, Mapping) and len(value) <= MOST_PARTS and not within:
            told += facts(value, f"{name.replace('_', ' ')}: ")
        elif isinstance(value, Mapping) and 0 < len(value) <= MOST_PARTS and all(isinstance(one, int) for one in value.values()):
            told.append((label, ", ".join(f"{quoted(str(part), 40)} {_value(one)}" for part, one in value.items())))
        elif isinstance(value, Mapping | list | tuple):
            told.append((label, f"{len(value):,}, listed in the manifest" if value else "none"))
        elif value is not None and name != "words":
            told.append((label, _value(value)))
    return told


def _front_matter(dataset: Dataset) -> str:
    lines = ["---", f"pretty_name: {json.dumps(dataset.name)}", "tags:", "- continuum", "- trl", "configs:"]
    for stem, files in groupby(dataset.files, key=_stem):
        lines += [f"- config_name: {'default' if stem == 'examples' else stem}", "  data_files:"]
        for name in files:
            lines += [f"  - split: {'validation' if VALIDATION in name else 'train'}", f"    path: {name}"]
    return "\n".join([*lines, "---"])


def _opening(dataset: Dataset) -> str:
    code, built_at = (_value(dataset.manifest.get(name, "unknown")) for name in ("code_version", "created_at"))
    return (
        f"# Dataset {quoted(dataset.name, 120)}\n\n"
        f"{len(dataset)} training examples of the task {quoted(dataset.task, 120)}, chosen from {dataset.source_interactions:,} "
        f"captured interactions. Fingerprint {quoted(dataset.fingerprint)}, built {built_at} by Continuum {code}."
    )


def _holds(dataset: Dataset) -> str:
    rows = [(f"`{name}`", str(count), HOLDS[_stem(name)]) for name, count in dataset.files.items()]
    loads = '```python\nimport datasets\n\nrows = datasets.load_dataset("path/to/this/folder")["train"]\n```'
    return "\n\n".join(
        [
            "## What it holds",
            _table(("file", "rows", "what"), rows),
            "Where a table has validation rows, they have a file of their own. `conversation` holds the messages whole, as JSON, "
            "with tool calls and unknown fields; in the chat form a tool call is written into the content.",
            loads,
            'The other tables load by their names, as `load_dataset(folder, "preferences")`.',
        ]
    )


def _made(dataset: Dataset) -> str:
    manifest = dataset.manifest
    window = manifest.get("window", {})
    parents = manifest.get("parents", {})
    lineage = [
        ("interactions from", _value(window.get("first") or "-")),
        ("to", _value(window.get("last") or "-")),
        ("in order of arrival, after", _value(manifest.get("after", 0))),
        ("through", _value(manifest.get("through", 0))),
        *((("considered again, as people said more", _value(again)),) if (again := _again(manifest)) else ()),
        *((f"{name} dataset", _value(fingerprint or "none")) for name, fingerprint in parents.items()),
    ]
    steps = [(name, f"{left:,}") for name, left in funnel(dataset)]
    parts = [
        "## How it was made",
        _table(("stage", "interactions left"), steps),
        "![What each stage left](plots/funnel.png)",
        _table(("configuration", "value"), [(name, _value(value)) for name, value in manifest.get("config", {}).items()]),
        _table(("lineage", ""), lineage),
    ]
    return "\n\n".join(parts)


def _again(manifest: Mapping[str, Any]) -> int:
    return int(manifest.get("feedback", {}).get("reopened", 0))


def _scores(dataset: Dataset) -> str:
    sources = Counter(example.score_source for example in dataset)
    told = ", ".join(f"{sources[source]} {words}" for source, words in SOURCES.items() if sources[source])
    return "\n\n".join(
        [
            "## How good it is",
            f"Mean score {dataset.avg_score:.2f}, lowest {dataset.min_score:.2f}, of 1 to 5: {told or 'no examples'}.",
            "![Scores of what was rated and of the examples](plots/scores.png)",
        ]
    )


def _coverage(dataset: Dataset) -> str:
    classes = classes_of(dataset)
    if not classes:
        return ""
    rows = [
        (
            str(n),
            quoted(one.label, 40),
            f"{one.eligible:,}",
            f"{one.selected:,}",
            "-" if one.control is None else f"{one.control:,}",
            "-" if one.score is None else f"{one.score:.2f}",
            "; ".join(quoted(text) for text in one.words) or "-",
        )
        for n, one in enumerate(classes[:MOST_ROWS], start=1)
    ]
    parts = [
        "## What it covers",
        prose(coverage_words(dataset)),
        _table(("", "class", "eligible", "examples", "control", "mean score", "in words"), rows),
        f"{len(classes) - MOST_ROWS} smaller classes are in the manifest." if len(classes) > MOST_ROWS else "",
        "![Share of each class](plots/coverage.png)",
    ]
    return "\n\n".join(part for part in parts if part)


def _removed(dataset: Dataset) -> str:
    rows = [(stage.replace("_", " "), f"{count:,}", LEFT_OUT.get(stage, "")) for stage, count in left_out(dataset).items()]
    if not rows:
        return ""
    told = "`removed.parquet` names each that was good enough and was taken out, with the reason and the one that stayed for it."
    parts = ["## What was left out, and why", _table(("", "interactions", "why"), rows), told if dataset.removed else ""]
    return "\n\n".join(part for part in [*parts, _said(dataset.manifest.get("duplicates", {}))] if part)


def _kept_apart(dataset: Dataset) -> str:
    report = dataset.manifest.get("decontamination", {})
    return f"## Kept apart from what measures\n\n{_report(report)}" if report else ""


def _generations(dataset: Dataset) -> str:
    eligible, selected = generations(dataset)
    own = eligible.keys() | selected.keys() > {0}
    picture = "![Generations](plots/generations.png)" if own else "No version of this task's own models wrote any of them."
    parts = ["## Who wrote the answers", _said(dataset.manifest.get("generations", {})), picture]
    models = dataset.manifest.get("models", {})
    if models:
        parts.append(_table(("model", "examples"), [(quoted(name), str(rows)) for name, rows in models.items()]))
    return "\n\n".join(part for part in parts if part)


def _control(dataset: Dataset) -> str:
    control = dataset.control
    if control is None:
        return ""
    told = (
        f"{len(control)} eligible rows drawn at random stand beside the examples. Train on {quoted(control.name, 120)} too: the "
        "difference is what choosing was worth."
    )
    report = dataset.manifest.get("control", {})
    sides = [report.get(name) or {} for name in ("selection", "control")]
    rows = [(name.replace("_", " "), *(_value(side.get(name)) for side in sides)) for name in sides[0]]
    rows = rows or [("mean score", f"{dataset.avg_score:.2f}", f"{control.avg_score:.2f}")]
    shared = sum(one.interaction_id in {example.interaction_id for example in dataset} for one in control)
    return "\n\n".join(["## The control", told, _table(("", "examples", "control"), rows), f"{shared} rows are in both."])


def _spoken(dataset: Dataset) -> str:
    reports = {
        "What people preferred": "preferences",
        "What was referred": "referrals",
        "How unsure the scores are": "uncertainty",
    }
    told = [f"## {title}\n\n{_report(found)}" for title, name in reports.items() if (found := dataset.manifest.get(name))]
    return "\n\n".join(told)


def _limits(dataset: Dataset) -> str:
    notes = [f"- {prose(note)}" for note in dataset.manifest.get("notes", ())]
    embedder = dataset.manifest.get("config", {}).get("embedder")
    if embedder:
        notes.append(
            f"- Nearness, classes and coverage are those of the embedder {quoted(str(embedder))}; another one sees others."
        )
    notes += [
        "- Scores say what people and judges thought of single answers. What a model learns from them is for the guard to say.",
        "- The terms of some providers forbid training on what their models wrote; see who wrote the answers above.",
        "- The data are captured conversations. What the redactor did not know as personal is still in them, and the excerpts "
        "above are some of it: `continuum forget` takes out of this version what somebody asks to be forgotten.",
    ]
    return "\n".join(["## Limits", "", *notes])


def _report(report: Mapping[str, Any]) -> str:
    told = facts(report)
    return "\n\n".join(part for part in (_said(report), _table(("", ""), told) if told else "") if part)


def _said(report: Mapping[str, Any]) -> str:
    return prose(str(report.get("words") or ""))


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return quoted(value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str), 200)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are harmless already."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _stem(name: str) -> str:
    return name.removesuffix(".parquet").removesuffix(VALIDATION)


def _level(score: float) -> str:
    return str(min(5, max(1, int(score + 0.5))))
