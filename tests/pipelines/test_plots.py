import base64
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_pipelines.plots import MARKDOWN_SHOWN_INLINE, bar_plot, line_plot

NUMBERS = st.floats(-1e9, 1e9) | st.sampled_from([float("nan"), float("inf"), float("-inf")])


def svg_of(markdown: str) -> ElementTree.Element:
    """The picture inside the Markdown image."""
    _, _, data = markdown.rpartition("base64,")
    return ElementTree.fromstring(  # noqa: S314 - we wrote it
        base64.b64decode(data.removesuffix(")"))
    )


@given(st.lists(NUMBERS, max_size=200))
def test_any_curve_is_a_picture_that_the_ui_shows_inline(values: list[float]) -> None:
    markdown = line_plot(values, "loss")
    if markdown:
        assert len(markdown) < MARKDOWN_SHOWN_INLINE
        assert svg_of(markdown).tag.endswith("svg")


def test_a_long_curve_keeps_its_first_and_last_value() -> None:
    picture = svg_of(line_plot([3.0, *[1.0] * 500, 0.25], "loss"))
    assert [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")] == ["3", "0.25"]


@pytest.mark.parametrize("values", [[], [1.0], [float("nan")] * 5])
def test_there_is_no_curve_without_two_values(values: list[float]) -> None:
    assert line_plot(values, "loss") == ""


def test_each_count_has_its_bar_and_label() -> None:
    picture = svg_of(bar_plot({"1": 4, "2": 0, "3": 9, "4": 1, "5": 7}, "scores"))
    assert [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")] == ["1", "2", "3", "4", "5"]
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}path"))) == 5
