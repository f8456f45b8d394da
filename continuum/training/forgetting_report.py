"""What a version forgot, in figures with their evidence: of earlier datasets, of general skill, and of the constraints.

| figure | what it is |
|---|---|
| backward transfer | mean over earlier datasets i of R(T,i) - R(i,i); below 0 was lost (Lopez-Paz and Ranzato 2017, eq. 3) |
| forgetting | mean over earlier datasets i of max over l < T of R(l,i), less R(T,i) (Chaudhry et al. 2018, eq. 3) |
| general delta | nats per token on general questions, now less at the base; above 0 was lost |
| violations | held-out trials of the constraints that the answer breaks, with a one-sided 95% upper bound of the share |

R is the probability of `matrix.py`. The best earlier version is chosen by looking, so forgetting errs on the side of too much.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from continuum.artifacts.copies import local
from continuum.constitution.constraints import Constraint
from continuum.excerpts import prose, quoted
from continuum.records import Checkpoint, Record
from continuum.training.job import TrialAnswer
from continuum.training.matrix import Cell, Change, Line, Matrix
from continuum.training.measured import GENERAL, Measured
from continuum.training.plots import curves_svg, matrix_svg

if TYPE_CHECKING:
    from continuum.store.database import Store


class Violations(Record):
    """How often a constraint was broken, before and after, on the same trials."""

    constraint: str
    """`all` for all of them together."""
    trials: int
    before: int
    after: int
    upper: float
    """The share of such questions that break it is at most this, with 95% confidence (Clopper and Pearson 1934)."""
    newly: tuple[str, ...] = ()
    """Questions that kept it before and break it now."""


class ForgettingReport(Record):
    """What the newest version of a line still knows."""

    task: str
    version: str
    """The newest version's name."""
    checkpoint_id: str
    matrix: Matrix
    learned: Change | None
    """On the validation rows of its own dataset, since its parent."""
    backward: tuple[Change, ...]
    """For each earlier dataset, since the version that learned it."""
    forgotten: tuple[Change, ...]
    """For each earlier dataset, since the version that knew it best."""
    general: Change | None
    """Since the base, or the first version that was asked."""
    violations: tuple[Violations, ...]
    """For each constraint, and for all where there are several."""
    unjudged: tuple[str, ...] = ()
    """Constraints that were tried and that only a judge can tell the keeping of."""
    unmeasured: tuple[str, ...] = ()
    """Earlier datasets, by their names in the matrix, that the newest version was not measured on."""

    @property
    def backward_transfer(self) -> float | None:
        """Mean change of the probability of earlier answers, each since it was learned; None at the first turn of a line."""
        return _mean(change.probability for change in self.backward)

    @property
    def forgetting(self) -> float | None:
        """Mean probability of earlier answers that was lost since each was known best; None at the first turn of a line."""
        lost = _mean(change.probability for change in self.forgotten)
        return None if lost is None else -lost

    def metrics(self) -> dict[str, float]:
        """The figures as a checkpoint's metrics; what could not be measured is absent."""
        found: dict[str, float | None] = {
            "forgetting": self.forgetting,
            "forgetting_nats": _mean(change.nats for change in self.forgotten),
            "backward_transfer": self.backward_transfer,
            "backward_transfer_nats": _mean(change.nats for change in self.backward),
            "general_delta": self.general.nats if self.general else None,
            "general_probability_delta": self.general.probability if self.general else None,
        }
        if self.violations:
            every = self.violations[-1]
            found |= {
                "violations_before": every.before,
                "violations": every.after,
                "violations_new": len(every.newly),
                "violations_upper": every.upper,
                "trials": every.trials,
            }
        return {name: float(value) for name, value in found.items() if value is not None}

    def files(self, history: Sequence[Mapping[str, float]] = ()) -> dict[str, str]:
        """What a tracker shows beside the run: the report as JSON and Markdown, the matrix and the run's curves as pictures."""
        files = {
            "forgetting.json": self.model_dump_json(indent=2) + "\n",
            "forgetting.md": self.to_markdown(),
            "forgetting.svg": matrix_svg(self.matrix),
            "curves.svg": curves_svg(history),
        }
        return {name: text for name, text in files.items() if text}

    def to_markdown(self) -> str:
        """The matrix and what follows from it, for people."""
        parts = ["Probability of an answer's tokens (nats), by version:", _matrix_table(self.matrix)]
        if self.backward or self.general or self.learned:
            parts.append(_changes_table(self))
        if self.unmeasured:
            parts.append(f"Not measured, for their rows are gone: {', '.join(prose(name) for name in self.unmeasured)}.")
        if self.unjudged:
            parts.append(f"Only a judge can tell whether these were kept: {', '.join(prose(text) for text in self.unjudged)}.")
        if self.violations:
            parts.append(_violations_table(self.violations))
            newly = [(one.constraint, question) for one in self.violations if one.constraint != ALL for question in one.newly]
            if newly:
                parts.append("\n".join(["Broken now and kept before:", *(f"- {prose(name)}: {quoted(q)}" for name, q in newly)]))
        return "\n\n".join(parts) + "\n"


ALL = "all"


def forgetting_report(store: "Store", checkpoint: Checkpoint, constraints: Sequence[Constraint] = ()) -> ForgettingReport:
    """What a checkpoint still knows of what its line learned, from the artifacts of the line.

    Args:
        store: where the checkpoints before it are; it may itself not be there yet.
        checkpoint: the newest of the line.
        constraints: those whose trials its training asked.

    Raises:
        StoreError: an artifact holds figures that cannot be read.
    """
    line = line_of(store, checkpoint)
    # Of an artifact without figures, what it learned is known all the same: the next training may have measured it.
    versions = [(one.name, Measured.load(local(one.uri)) or Measured(dataset=one.dataset_id)) for one in line]
    return report_of(checkpoint, versions, constraints)


def line_of(store: "Store", checkpoint: Checkpoint) -> list[Checkpoint]:
    """A checkpoint and those it continues, oldest first."""
    line = [checkpoint]
    seen = {checkpoint.id}
    while (parent_id := line[-1].parent_id) and parent_id not in seen:
        parent = store.checkpoints.get(parent_id)
        if parent is None:
            break
        seen.add(parent_id)
        line.append(parent)
    return line[::-1]


def report_of(
    checkpoint: Checkpoint, versions: Sequence[tuple[str, Measured]], constraints: Sequence[Constraint] = ()
) -> ForgettingReport:
    """What the last of the versions still knows.

    Args:
        checkpoint: the last of them.
        versions: names, oldest first, and what the training of each measured.
        constraints: those whose trials were asked.
    """
    line = Line(versions)
    newest = versions[-1][1]
    earlier = [column for column in line.columns if column != GENERAL and line.learned_by[column] < line.newest]
    # Known since the version that learned it; where that was not measured, since the one that knew it best.
    learned = {column: line.learned_by[column] for column in earlier if line.measured(line.learned_by[column], column)}
    backward = [line.change(column, version) for column, version in learned.items()]
    best = [(column, line.best_before(column)) for column in earlier]
    asked = [version for version in range(line.newest) if line.measured(version, GENERAL)]
    return ForgettingReport(
        task=checkpoint.task,
        version=line.names[-1],
        checkpoint_id=checkpoint.id,
        matrix=line.matrix(),
        learned=line.change(newest.dataset, line.newest - 1),
        backward=tuple(change for change in backward if change),
        forgotten=tuple(change for column, version in best if version is not None and (change := line.change(column, version))),
        general=line.change(GENERAL, asked[0]) if asked else None,
        violations=violations_of(newest.trials, constraints),
        unjudged=tuple(constraint.text for constraint in constraints if constraint.check is None),
        unmeasured=tuple(line.title(column) for column in earlier if not line.measured(line.newest, column)),
    )


def violations_of(trials: Sequence[TrialAnswer], constraints: Sequence[Constraint]) -> tuple[Violations, ...]:
    """How often each constraint was broken, and all of them; those that nothing tried, or only a judge can tell, are left out."""
    found: list[Violations] = []
    for constraint in constraints:
        tried = [trial for trial in trials if trial.constraint == constraint.text]
        check = constraint.check
        if not tried or check is None:
            continue
        kept_before = [check(trial.prompt, trial.before) for trial in tried]
        kept_after = [check(trial.prompt, trial.after) for trial in tried]
        newly = (t.prompt for t, before, after in zip(tried, kept_before, kept_after, strict=True) if before and not after)
        found.append(_violations(constraint.text, len(tried), kept_before.count(False), kept_after.count(False), newly))
    if len(found) > 1:
        asked, before, after = (sum(getattr(one, name) for one in found) for name in ("trials", "before", "after"))
        found.append(_violations(ALL, asked, before, after, (question for one in found for question in one.newly)))
    return tuple(found)


def _violations(constraint: str, trials: int, before: int, after: int, newly: Iterable[str]) -> Violations:
    from continuum.statistics.proportions import clopper_pearson_upper  # scipy starts here

    upper = clopper_pearson_upper(after, trials)
    return Violations(constraint=constraint, trials=trials, before=before, after=after, upper=upper, newly=tuple(newly))


# --- as text ------------------------------------------------------------------------------------------------------


def _matrix_table(matrix: Matrix) -> str:
    head = ["version", *(f"{prose(column.title)} ({column.rows} rows)" for column in matrix.columns)]
    rows = [[prose(name), *map(_cell, cells)] for name, cells in zip(matrix.versions, matrix.cells, strict=True)]
    return _table(head, rows)


def _changes_table(report: ForgettingReport) -> str:
    named = [
        *([("learned", report.learned)] if report.learned else []),
        *(("backward transfer", change) for change in report.backward),
        # Most often a dataset was known best right after it was learned, and this would say the same again.
        *(("since known best", change) for change in report.forgotten if change not in report.backward),
        *([("general skill", report.general)] if report.general else []),
    ]
    rows = [
        [
            what,
            prose(change.title),
            prose(change.since),
            f"{change.probability:+.3f}{_interval(change.probability_low, change.probability_high)}",
            f"{change.nats:+.3f}{_interval(change.nats_low, change.nats_high)}",
            f"{change.rows} in {change.conversations}",
        ]
        for what, change in named
    ]
    if len(report.backward) > 1:
        rows.append(["backward transfer", "mean", "", f"{report.backward_transfer:+.3f}", "", ""])
    return _table(["change", "rows of", "since", "probability", "nats", "rows, conversations"], rows)


def _violations_table(violations: Sequence[Violations]) -> str:
    head = ["constraint", "trials", "broken before", "broken after", "newly broken", "at most (95%)"]
    rows = [
        [prose(one.constraint), str(one.trials), str(one.before), str(one.after), str(len(one.newly)), f"{one.upper:.1%}"]
        for one in violations
    ]
    return _table(head, rows)


def _cell(cell: Cell | None) -> str:
    return "" if cell is None else f"{cell.probability:.3f} ({cell.nats:.3f})"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:+.3f}, {high:+.3f}]"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return sum(found) / len(found) if found else None
