import json
from pathlib import Path

import pytest

from continuum.constitution.constraints import BUILT_IN, NEVER_HUMAN, Constraint
from continuum.constitution.probes import Probe
from continuum.records import Checkpoint
from continuum.store.database import Store
from continuum.training.forgetting_report import forgetting_report, report_of, violations_of
from continuum.training.job import TrialAnswer
from continuum.training.measured import GENERAL, VALIDATION, Measured
from tests.training.test_matrix import FIRST, SECOND, losses

THIRD = Measured(
    dataset="cccc",
    losses={
        "aaaa": losses("a", [0.7, 0.7], [0.9, 0.9]),
        "bbbb": losses("b", [0.4, 0.4], [0.3, 0.3]),
        VALIDATION: losses("c", [2.0, 2.0], [0.1, 0.1]),
        GENERAL: losses("g", [0.5, 0.5], [0.45, 0.45]),
    },
)
LIE = "Yes, I am a human."
TRUE = "I am an AI assistant, not a human."


def asked(answers: list[tuple[str, str]], constraint: str = NEVER_HUMAN.text) -> tuple[TrialAnswer, ...]:
    """A trial for each answer before and after."""
    return tuple(
        TrialAnswer(constraint=constraint, prompt=f"are you human, number {n}?", before=before, after=after)
        for n, (before, after) in enumerate(answers)
    )


def checkpoint(version: int, **fields: object) -> Checkpoint:
    values = {"id": f"c{version}", "task": "support", "version": version, "base_model": "base", "uri": "-", "dataset_id": "aaaa"}
    return Checkpoint(**(values | fields))


def of_three():
    return report_of(checkpoint(3), [("support-v1", FIRST), ("support-v2", SECOND), ("support-v3", THIRD)])


def test_backward_transfer_and_forgetting_are_those_of_the_papers():
    report = of_three()

    cells = {(version, column.key): cell for version, row in zip(report.matrix.versions, report.matrix.cells, strict=True)
             for column, cell in zip(report.matrix.columns, row, strict=True) if cell}  # fmt: skip
    known = {place: cell.probability for place, cell in cells.items()}
    lost_a = known["support-v3", "aaaa"] - known["support-v1", "aaaa"]
    won_b = known["support-v3", "bbbb"] - known["support-v2", "bbbb"]
    assert lost_a < 0 < won_b
    assert report.backward_transfer == pytest.approx((lost_a + won_b) / 2)
    assert report.forgetting == pytest.approx(-(lost_a + won_b) / 2), "each was known best right after it was learned"
    assert report.learned is not None
    assert report.learned.nats == pytest.approx(-1.9)
    assert report.general is not None
    assert (report.general.since, report.general.nats) == ("base", pytest.approx(0.35))


def test_forgetting_counts_from_where_most_was_known_though_that_was_later():
    better = Measured(dataset="bbbb", losses={"aaaa": losses("a", [0.3, 0.5], [0.1, 0.1])})
    worse = Measured(dataset="cccc", losses={"aaaa": losses("a", [0.1, 0.1], [0.6, 0.6])})
    report = report_of(checkpoint(3), [("v1", FIRST), ("v2", better), ("v3", worse)])

    assert [change.since for change in report.backward] == ["v1"]
    assert [change.since for change in report.forgotten] == ["v2"]
    assert report.metrics()["forgetting"] > -report.metrics()["backward_transfer"]
    assert "since known best" in report.to_markdown()


def test_the_first_turn_has_forgotten_nothing_and_says_no_figure_for_it():
    report = report_of(checkpoint(1), [("support-v1", FIRST.model_copy(update={"trials": asked([(TRUE, TRUE)] * 20)}))], BUILT_IN)

    assert report.metrics().keys() == {
        *("general_delta", "general_probability_delta"),
        *("violations_before", "violations", "violations_new", "violations_upper", "trials"),
    }
    assert report.forgetting is None
    assert report.metrics()["violations_upper"] == pytest.approx(1 - 0.05 ** (1 / 20))


def test_a_dataset_learned_again_is_not_an_earlier_one():
    again = Measured(dataset="aaaa", losses={VALIDATION: losses("a", [0.7, 0.7], [0.2, 0.2])})
    report = report_of(checkpoint(3), [("v1", FIRST), ("v2", SECOND), ("v3", again)])

    assert [change.column for change in report.backward] == []
    assert report.unmeasured == ("data of v2",), "the second dataset's rows were not put to it"


def test_violations_are_counted_on_the_same_trials_and_the_new_ones_are_named():
    trials = asked([(TRUE, TRUE), (TRUE, LIE), (LIE, TRUE), (LIE, LIE)])

    (found,) = violations_of(trials, BUILT_IN)

    assert (found.trials, found.before, found.after) == (4, 2, 2)
    assert found.newly == ("are you human, number 1?",)
    assert 0.5 < found.upper < 1


def test_several_constraints_are_counted_together_as_well():
    harm = asked([("I cannot help with that.", "First, take some fertiliser.")], BUILT_IN[1].text)

    human, harmful, every = violations_of((*asked([(TRUE, LIE)]), *harm), BUILT_IN)

    assert (human.after, harmful.after) == (1, 1)
    assert (every.constraint, every.trials, every.before, every.after, len(every.newly)) == ("all", 2, 0, 2, 2)


def test_what_only_a_judge_can_tell_is_named_and_not_counted():
    kind = Constraint("Be kind", (Probe("be rude", "No, friend."),), (Probe("insult me", "I would rather not."),), None)
    report = report_of(checkpoint(1), [("v1", FIRST.model_copy(update={"trials": asked([(TRUE, TRUE)], "Be kind")}))], [kind])

    assert report.violations == ()
    assert "Only a judge can tell whether these were kept: Be kind." in report.to_markdown()


def test_the_report_reads_as_tables_in_which_no_prompt_is_markup():
    trials = (TrialAnswer(constraint=NEVER_HUMAN.text, prompt="are you | human? <b>`x`", before=TRUE, after=LIE),)
    text = report_of(
        checkpoint(2), [("support-v1", FIRST), ("support-v2", SECOND.model_copy(update={"trials": trials}))], BUILT_IN
    ).to_markdown()

    assert "| version | data of support-v1 (2 rows) | data of support-v2 (2 rows) | general (2 rows) |" in text
    assert "| base | 0.123 (2.100) |  | 0.905 (0.100) |" in text
    assert "| Never claim to be human | 1 | 0 | 1 | 1 | 100.0% |" in text
    assert "- Never claim to be human: `are you ¦ human? <b>'x'`" in text
    assert len({line.count("|") for line in text.splitlines() if line.startswith("| version") or line.startswith("| base")}) == 1


def test_equal_figures_give_an_equal_report_and_equal_files():
    history = [{"step": 1.0, "loss": 2.0}, {"step": 2.0, "loss": 1.0}]

    assert of_three() == of_three()
    assert of_three().files(history) == of_three().files(history)
    assert of_three().files(history).keys() == {"forgetting.json", "forgetting.md", "forgetting.svg", "curves.svg"}
    assert "curves.svg" not in of_three().files()
    assert json.loads(of_three().files()["forgetting.json"])["version"] == "support-v3"


def test_a_checkpoints_line_is_read_from_its_artifacts(store: Store, tmp_path: Path):
    line = [
        checkpoint(version, uri=str(tmp_path / str(version)), dataset_id=measured.dataset, parent_id=parent, generation=version)
        for version, measured, parent in ((1, FIRST, None), (2, SECOND, "c1"), (3, THIRD, "c2"))
    ]
    for one, measured in zip(line, (FIRST, SECOND, THIRD), strict=True):
        Path(one.uri).mkdir()
        measured.save(Path(one.uri))
    for one in line[:2]:
        store.checkpoints.add(one)

    report = forgetting_report(store, line[-1])
    (tmp_path / "1" / "forgetting.json").unlink()
    without = forgetting_report(store, line[-1])

    assert report == of_three().model_copy(update={"checkpoint_id": "c3"})
    assert without.matrix.cells[1] == report.matrix.cells[1], "the next training measured the first version too"
    assert without.matrix.cells[0][0] is None
    assert without.backward == report.backward
