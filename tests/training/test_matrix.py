import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.errors import StoreError
from continuum.training.job import FitReport, Losses, TrialAnswer
from continuum.training.matrix import BASE, Line, Matrix
from continuum.training.measured import GENERAL, VALIDATION, Measured


def losses(name: str, before: list[float], after: list[float], groups: tuple[str, ...] = ()) -> Losses:
    """Of the rows name-0, name-1 and so on."""
    ids = tuple(f"{name}-{n}" for n in range(len(before)))
    return Losses(ids=ids, before=tuple(before), after=tuple(after), groups=groups)


FIRST = Measured(
    dataset="aaaa", losses={VALIDATION: losses("a", [2.0, 2.2], [0.3, 0.5]), GENERAL: losses("g", [0.1, 0.1], [0.2, 0.2])}
)
SECOND = Measured(
    dataset="bbbb",
    losses={
        "aaaa": losses("a", [0.3, 0.5], [0.7, 0.7]),
        VALIDATION: losses("b", [1.8, 1.8], [0.4, 0.4]),
        GENERAL: losses("g", [0.2, 0.2], [0.5, 0.5]),
    },
)
LINE = Line([("support-v1", FIRST), ("support-v2", SECOND)])


def nats(matrix: Matrix) -> list[list[float | None]]:
    return [[cell and round(cell.nats, 3) for cell in cells] for cells in matrix.cells]


def test_a_row_is_a_version_and_a_column_the_dataset_that_a_version_learned():
    matrix = LINE.matrix()

    assert matrix.versions == (BASE, "support-v1", "support-v2")
    assert [column.title for column in matrix.columns] == ["data of support-v1", "data of support-v2", "general"]
    assert nats(matrix) == [[2.1, None, 0.1], [0.4, 1.8, 0.2], [0.7, 0.4, 0.5]]


def test_a_version_from_before_a_dataset_has_no_cell_for_it():
    matrix = Line([("v1", FIRST)]).matrix()

    assert [column.key for column in matrix.columns] == ["aaaa", GENERAL]
    assert LINE.matrix().cells[0][1] is None


def test_what_is_known_is_a_probability():
    cell = LINE.matrix().cells[1][0]

    assert cell is not None
    assert cell.probability == pytest.approx((math.exp(-0.3) + math.exp(-0.5)) / 2)
    assert (cell.rows, cell.conversations) == (2, 2)


def test_rows_of_one_conversation_count_once():
    talk = losses("a", [1.0, 1.0, 1.0], [0.0, 0.0, 3.0], groups=("x", "x", "y"))
    line = Line([("v1", Measured(dataset="aaaa", losses={VALIDATION: talk}))])
    change = line.change("aaaa", 0)

    assert line.matrix().cells[1][0].nats == pytest.approx(1.5)  # pyright: ignore[reportOptionalMemberAccess]
    assert change is not None
    assert (change.rows, change.conversations) == (3, 2)
    assert change.nats == pytest.approx(0.5)


def test_a_change_is_paired_row_by_row_and_knows_how_sure_it_is():
    steady = losses("a", [0.1, 1.0, 3.0], [0.2, 1.1, 3.1])
    change = Line([("v1", Measured(dataset="aaaa", losses={VALIDATION: steady}))]).change("aaaa", 0)

    assert change is not None
    assert change.nats == pytest.approx(0.1)
    assert change.nats_low == pytest.approx(0.1)
    assert change.nats_high == pytest.approx(0.1)


def test_of_a_single_conversation_no_spread_is_known():
    one = losses("a", [1.0], [0.5])
    change = Line([("v1", Measured(dataset="aaaa", losses={VALIDATION: one}))]).change("aaaa", 0)

    assert change is not None
    assert (change.nats_low, change.probability_high) == (None, None)


def test_rows_that_only_one_of_two_versions_was_asked_about_change_nothing():
    fewer = Measured(dataset="bbbb", losses={"aaaa": losses("a", [0.3], [0.9])})
    change = Line([("v1", FIRST), ("v2", fewer)]).change("aaaa", 1)

    assert change is not None
    assert change.rows == 1
    assert change.nats == pytest.approx(0.6)


def test_a_version_that_kept_no_figures_is_known_by_those_of_the_next():
    line = Line([("v1", Measured(dataset="aaaa")), ("v2", SECOND)])

    assert [column.key for column in line.matrix().columns] == ["aaaa", "bbbb", GENERAL]
    assert nats(line.matrix()) == [[None, None, None], [0.4, 1.8, 0.2], [0.7, 0.4, 0.5]]


def test_the_best_version_before_is_the_one_that_knew_most():
    third = Measured(dataset="cccc", losses={"aaaa": losses("a", [0.7, 0.7], [0.6, 0.6])})

    assert Line([("v1", FIRST), ("v2", SECOND), ("v3", third)]).best_before("aaaa") == 1
    assert LINE.best_before("bbbb") == 1, "what it knew before it learned it"


def test_evidence_names_the_rows_whatever_their_order():
    other = FIRST.model_copy(update={"losses": {VALIDATION: Losses(ids=("a-1", "a-0"), before=(2.2, 2.0), after=(0.5, 0.3))}})

    assert Line([("v1", other)]).matrix().columns[0].ids_sha256 == LINE.matrix().columns[0].ids_sha256


@given(st.lists(st.lists(st.floats(0, 20), min_size=1, max_size=6), min_size=1, max_size=5))
def test_whatever_was_measured_probabilities_are_between_none_and_all(turns: list[list[float]]):
    versions = [
        (f"v{n}", Measured(dataset=f"d{n}", losses={VALIDATION: losses(f"d{n}", values, values[::-1])}))
        for n, values in enumerate(turns, start=1)
    ]
    matrix = Line(versions).matrix()

    known = [cell for cells in matrix.cells for cell in cells if cell]
    assert len(matrix.versions) == len(turns) + 1
    assert len(known) == 2 * len(turns)
    assert all(0 <= cell.probability <= 1 for cell in known)


def test_what_was_measured_is_kept_whole_and_refused_when_it_was_altered(tmp_path: Path):
    report = FitReport(
        initial_loss=1.0,
        final_loss=0.5,
        steps=3,
        epochs=1,
        losses=FIRST.losses,
        trials=(TrialAnswer(constraint="c", prompt="p", before="b \ud800", after="a"),),
    )
    measured = Measured.of("aaaa", report)
    measured.save(tmp_path)

    assert Measured.load(tmp_path) == measured
    assert Measured.load(tmp_path / "nowhere") is None
    (tmp_path / "forgetting.json").write_text('{"dataset": 3}')
    with pytest.raises(StoreError, match="cannot be read as what a training measured"):
        Measured.load(tmp_path)
