import math
from xml.etree import ElementTree

import pytest

from continuum.training.forgetting_report import report_of
from continuum.training.matrix import Line
from continuum.training.plots import curves_svg, matrix_svg, short
from tests.training.test_forgetting_report import checkpoint
from tests.training.test_matrix import FIRST, SECOND

SVG = "{http://www.w3.org/2000/svg}"


def words(svg: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 - our own


def test_the_matrix_shows_every_number_and_outlines_what_was_just_learned():
    matrix = report_of(checkpoint(2), [("support-v1", FIRST), ("support-v2", SECOND)]).matrix
    svg = matrix_svg(matrix)

    shown = words(svg)
    for cells in matrix.cells:
        for cell in cells:
            assert cell is None or f"{cell.probability:.3f}" in shown
    assert shown.count("–") == 1
    assert svg.count('stroke-width="2"') == 2, "one cell for each dataset"
    assert svg == matrix_svg(matrix)


def test_a_task_named_like_markup_stays_a_name():
    svg = matrix_svg(Line([("<script>alert(1)</script>-v1", FIRST)]).matrix())

    assert "<script" not in svg
    assert any(text.startswith("<script>") for text in words(svg))


def test_curves_are_drawn_for_what_was_logged():
    history = [{"step": float(n), "loss": 2 / n, "ewc_penalty": 0.1 * n} for n in range(1, 1001)]
    svg = curves_svg(history)

    assert svg.count("<polyline") == 2
    assert "EWC penalty" in svg
    assert "L2 distance" not in svg
    assert len(svg) < 15_000, "a long run is thinned"
    assert "1000" in words(svg)


@pytest.mark.parametrize("history", [[], [{"step": 1.0, "loss": 1.0}], [{"step": 1.0, "loss": math.nan}] * 3])
def test_no_curve_is_no_picture(history: list[dict[str, float]]):
    assert curves_svg(history) == ""


def test_a_curve_that_never_moves_is_drawn():
    assert "<polyline" in curves_svg([{"step": 1.0, "loss": 0.0}, {"step": 2.0, "loss": 0.0}])


def test_a_version_is_called_short():
    assert [short(name) for name in ("support-v2", "base", "a-v1-b")] == ["v2", "base", "a-v1-b"]
