"""Every picture is short enough for the UI to show it, whatever it is drawn from, and is a picture."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.deployment.watch.course import Point, Split
from continuum.guard.pairs import Gate, Outcome
from continuum.records import Verdict, VerdictStatus
from continuum.statistics.means import Estimate
from continuum.statistics.sequences import Difference
from continuum.training.matrix import Cell, Column, Matrix
from continuum_pipelines.canaries import sequence_plot, split_plot
from continuum_pipelines.heatmaps import LEVELS, matrix_plot, png_of
from continuum_pipelines.plots import MARKDOWN_SHOWN_INLINE, bar_plot, brief, image, line_plot, means_plot
from continuum_pipelines.verdicts import checks_table, forest_plot
from tests.builders import NOON

NUMBERS = st.floats(-1e9, 1e9) | st.sampled_from([float("nan"), float("inf"), float("-inf")])
SHARES = st.floats(0, 1)
HOSTILE = "](http://evil) <script>alert('x')</script> & \"quoted\" `code` 日本語 \x1b[31m"
TITLES = st.sampled_from(["loss", HOSTILE, "", "x" * 500])


def svg_of(markdown: str) -> ElementTree.Element:
    """The picture inside the Markdown image."""
    assert markdown.startswith("![")
    assert markdown.endswith(")")
    _, _, data = markdown.partition("](data:image/svg+xml,")
    # Markdown ends an address at a space, a closing bracket or an angle bracket.
    assert not set(data.removesuffix(")")) & set(' ()<>"\\`&\n')
    return ElementTree.fromstring(unquote(data.removesuffix(")")))  # noqa: S314 - we wrote it


SVG = "{http://www.w3.org/2000/svg}"


def words_of(markdown: str) -> list[str]:
    """What is written in the drawing, without what stands above it."""
    return [found.text or "" for found in svg_of(markdown).iter(f"{SVG}text") if not found.attrib["y"].startswith("-")]


def caption_of(markdown: str) -> str | None:
    """What stands above a drawing; None where there was no room."""
    return next((found.text for found in svg_of(markdown).findall(f"{SVG}text") if found.attrib["y"].startswith("-")), None)


def shown(markdown: str) -> bool:
    """Whether it is a picture that the UI shows inline; nothing is no picture."""
    if not markdown:
        return False
    assert len(markdown) < MARKDOWN_SHOWN_INLINE
    assert svg_of(markdown).tag.endswith("svg")
    return True


@given(st.lists(NUMBERS, max_size=300), TITLES)
def test_any_curve_is_a_picture_that_the_ui_shows_inline(values: list[float], title: str) -> None:
    finite = [value for value in values if abs(value) < 1e10]
    assert shown(line_plot(values, title)) is (len(finite) > 1)


def test_what_a_picture_shows_is_written_above_it_and_not_only_in_words_that_nobody_sees() -> None:
    long = line_plot([3.0, *[1.0] * 500, 0.25], "loss of the batches, nats a token, to step 1200")

    assert caption_of(long) == "loss of the batches, nats a token, to step 1200"
    assert caption_of(bar_plot({"1": 4, "5": 1700}, "examples by score, 1 to 5")) == "examples by score, 1 to 5"
    assert caption_of(matrix_plot(a_matrix(2, 2), "% known: versions by datasets")) == "% known: versions by datasets"


def test_a_long_curve_keeps_its_first_and_last_value() -> None:
    assert words_of(line_plot([3.0, *[1.0] * 500, 0.25], "loss")) == ["3", "0.25"]


@pytest.mark.parametrize("values", [[], [1.0], [float("nan")] * 5])
def test_there_is_no_curve_without_two_values(values: list[float]) -> None:
    assert line_plot(values, "loss") == ""


@given(st.dictionaries(st.text(max_size=20) | st.just(HOSTILE), st.integers(0, 10**12), max_size=20), TITLES)
def test_any_counts_are_bars_that_the_ui_shows_inline(counts: dict[str, int], title: str) -> None:
    assert shown(bar_plot(counts, title)) is bool(counts)


def test_each_count_has_its_bar_its_label_and_its_number() -> None:
    picture = bar_plot({"1": 4, "2": 0, "3": 9, "4": 1, "5": 1700}, "scores")
    assert words_of(picture) == ["1", "2", "3", "4", "5", "4", "0", "9", "1", "1.7k"]


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0"), (999, "999"), (1_000, "1.0k"), (12_345, "12k"), (3_400_000, "3.4M"), (2 * 10**9, "2.0G")]
)
def test_a_count_is_brief(count: int, words: str) -> None:
    assert brief(count) == words


MEANS = st.builds(
    lambda mean, spread, known: Estimate(mean, mean - spread if known else None, mean + spread if known else None, 40, 20),
    SHARES,
    SHARES,
    st.booleans(),
)


@given(st.dictionaries(st.text(max_size=30) | st.just(HOSTILE), MEANS, max_size=20), TITLES)
def test_any_models_are_a_picture_that_the_ui_shows_inline(means: dict[str, Estimate], title: str) -> None:
    assert shown(means_plot(means, title)) is bool(means)


def test_of_many_models_the_first_and_the_newest_are_named() -> None:
    means = {f"support-v{n}": Estimate(n / 20, n / 20 - 0.02, n / 20 + 0.02, 40, 20) for n in range(12)}
    assert words_of(means_plot(means, "helpfulness"))[:6] == ["v0", "v7", "v8", "v9", "v10", "v11"]


def test_a_hostile_title_stays_words() -> None:
    picture = image("<svg xmlns='http://www.w3.org/2000/svg'/>", HOSTILE)
    alternative, _, _ = picture.partition("](data:")
    assert "](" not in alternative
    assert "\x1b" not in picture


# --- the matrix --------------------------------------------------------------------------------------------------


@st.composite
def matrices(draw: st.DrawFn, most: int = 40) -> Matrix:
    """Of any size, as a line of versions has one: a dataset was not asked of the versions before it, unless it was."""
    versions, columns = draw(st.integers(0, most)), draw(st.integers(0, most))
    whole = draw(st.booleans())
    values = draw(st.lists(SHARES, min_size=1, max_size=60))
    return a_matrix(versions, columns, values, whole=whole)


def a_matrix(versions: int, columns: int, values: Sequence[float] = (0.1, 0.5, 0.93, 0.75), *, whole: bool = False) -> Matrix:
    def cell(row: int, column: int) -> Cell | None:
        if row < column and not whole:
            return None
        return Cell(rows=40, conversations=40, nats=0.4, probability=values[(7 * row + column) % len(values)])

    return Matrix(
        versions=("base", *(f"support-v{n + 1}" for n in range(versions))),
        columns=tuple(
            Column(key=f"d{n}", learned_by=f"support-v{n + 1}" if n < versions else None, rows=40, ids_sha256="x")
            for n in range(columns)
        ),
        cells=tuple(tuple(cell(row, column) for column in range(columns)) for row in range(versions + 1)),
    )


@given(matrices(), TITLES)
def test_any_matrix_is_a_picture_that_the_ui_shows_inline(matrix: Matrix, title: str) -> None:
    measured = any(cell is not None for row in matrix.cells[-10:] for cell in row[-10:])
    assert shown(matrix_plot(matrix, title)) is measured


@pytest.mark.parametrize("whole", [False, True])
def test_eight_versions_by_eight_datasets_are_named_and_what_was_just_learned_is_marked(whole: bool) -> None:
    picture = matrix_plot(a_matrix(8, 8, whole=whole), "what each version knows")
    assert shown(picture)
    assert words_of(picture)[:3] == ["version", "012345678", "12345678"]
    assert "stroke=" in unquote(picture)


def test_a_small_matrix_has_its_percentages() -> None:
    assert "7979" in words_of(matrix_plot(a_matrix(1, 1, [0.79]), ""))


@given(st.integers(1, 12), st.integers(1, 12), st.randoms(use_true_random=False))
def test_the_pixels_are_the_shades(rows: int, columns: int, random) -> None:
    from io import BytesIO

    from PIL import Image

    levels = [[random.randint(0, LEVELS) for _ in range(columns)] for _ in range(rows)]
    with Image.open(BytesIO(png_of(levels))) as picture:
        assert picture.size == (columns, rows)
        assert [list(picture.crop((0, row, columns, row + 1)).tobytes()) for row in range(rows)] == levels
        assert picture.convert("RGBA").getpixel((0, 0))[3] == (0 if levels[0][0] == 0 else 255)


# --- the verdict -------------------------------------------------------------------------------------------------


def a_verdict(rows: dict[str, dict]) -> Verdict:
    return Verdict(
        task="support",
        checkpoint_id="c",
        baseline="b",
        golden_id="g",
        status=VerdictStatus.BLOCKED,
        approved=False,
        evidence={"metrics": rows},
    )


def a_check(outcome: Outcome, gate: Gate = Gate.ORDINARY, part: str = "", **numbers: float | None) -> dict:
    found = {"delta": 0.02, "low": -0.04, "high": 0.08, "min_delta": -0.02, "p_regressed": 0.9, "p_adjusted": 0.9} | numbers
    return {"outcome": outcome.value, "words": "as allowed", "gate": gate.value, "part": part} | found


CHECKS = st.builds(
    lambda outcome, gate, part, ends: (
        a_check(outcome, gate, part, low=min(ends), delta=sorted(ends)[1], high=max(ends), min_delta=-0.02)
        if outcome is not Outcome.NO_DATA
        else {"outcome": outcome.value, "words": "nothing to compare", "gate": gate.value, "part": part, "min_delta": -0.02}
    ),
    st.sampled_from(Outcome),
    st.sampled_from(Gate),
    st.sampled_from(["", "orders & returns", HOSTILE]),
    st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)),
)


@given(st.dictionaries(st.text(max_size=40), CHECKS, max_size=60), TITLES)
def test_any_verdict_is_a_picture_that_the_ui_shows_inline(rows: dict[str, dict], title: str) -> None:
    compared = any(row.get("delta") is not None for row in rows.values())
    assert shown(forest_plot(a_verdict(rows), title)) is compared
    table = checks_table(a_verdict(rows))
    assert (0 if table is None else len(table.records)) == len(rows)


def test_six_metrics_by_slices_show_what_is_worst_and_the_table_has_all_of_them() -> None:
    metrics = [f"metric {n}" for n in range(6)]
    rows = {metric: a_check(Outcome.PASSED) for metric in metrics}
    rows |= {
        f"{metric}@{part}": a_check(Outcome.PASSED, Gate.SLICE, part)
        for metric in metrics
        for part in ("orders", "returns", "tone")
    }
    rows["metric 3@tone"] = a_check(Outcome.REGRESSED, Gate.SLICE, "tone", low=-0.3, delta=-0.2, high=-0.1)

    picture, table = forest_plot(a_verdict(rows), "candidate less baseline"), checks_table(a_verdict(rows))

    assert words_of(picture)[0] == "tone: metric 3"
    assert sum("metric" in words for words in words_of(picture)) >= 6
    assert table is not None
    assert len(table.records) == 24
    assert table.records[0].data["check"] == "tone: metric 3"
    assert table.records[0].data["outcome"] == "✗ regressed"


def test_a_verdict_that_compared_nothing_has_no_picture() -> None:
    assert forest_plot(a_verdict({}), "x") == ""
    assert checks_table(a_verdict({})) is None


# --- the trial ---------------------------------------------------------------------------------------------------


def points_of(ends: Sequence[tuple[float, float, float]]) -> list[Point]:
    return [
        Point(NOON + timedelta(minutes=n), 40 * (n + 1), Difference(20, 20, sorted(three)[1], min(three), max(three), 0.1))
        for n, three in enumerate(ends)
    ]


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)), max_size=60),
    st.none() | st.floats(0.001, 1),
    TITLES,
)
def test_any_trial_is_a_picture_that_the_ui_shows_inline(
    ends: list[tuple[float, float, float]], limit: float | None, title: str
) -> None:
    assert shown(sequence_plot(points_of(ends), title, limit)) is (len(ends) > 1)


def test_a_trial_shows_its_last_difference_and_the_limit() -> None:
    ends = [(-1.0, 0.0, 1.0)] * 5 + [(-0.05, 0.01, 0.07)] * 20
    picture = sequence_plot(points_of(ends), "v2 less v1", limit=0.05)
    assert words_of(picture) == ["0", "+0.010", "1000 conversations"]
    assert "stroke-dasharray" in unquote(picture)
    assert "stroke-dasharray" not in unquote(sequence_plot(points_of(ends), "v2 less v1"))


def split(share: float, candidate: int, stable: int, begins: datetime = NOON) -> Split:
    return Split(begins, share, candidate, stable)


@given(st.lists(st.builds(split, SHARES, st.integers(0, 10**6), st.integers(0, 10**6)), max_size=60), TITLES)
def test_any_ramp_is_a_picture_that_the_ui_shows_inline(splits: list[Split], title: str) -> None:
    assert shown(split_plot(splits, title)) is any(one.share > 0 or one.candidate for one in splits)


def test_a_ramp_shows_when_it_began_and_when_its_last_step_did() -> None:
    steps = [split(0.0, 0, 0), split(0.1, 9, 91), split(1.0, 640, 0, NOON + timedelta(hours=4))]
    assert words_of(split_plot(steps, "traffic")) == [
        "100%",
        "0",
        f"{NOON:%m-%d %H:%M}",
        f"{NOON + timedelta(hours=4):%m-%d %H:%M}",
    ]
