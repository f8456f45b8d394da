"""Lines of a terminal: whatever is put into them, none is wider than there is room, and nothing is lost that should stay."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from continuum.commands.terminal_lines import clipped, cut_name, packed, wrapped

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z", "M")), min_size=1, max_size=30)
SENTENCES = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)
WIDTHS = st.integers(10, 60)


def plain(lines: list[Text]) -> list[str]:
    return [line.plain for line in lines]


@given(SENTENCES, WIDTHS)
def test_what_is_cut_takes_no_more_cells_than_there_are(text: str, width: int) -> None:
    for short in (clipped(text, width), cut_name(text, width)):
        assert cell_len(short) <= width
        assert short == text or "…" in short


@given(SENTENCES, WIDTHS, st.integers(0, 4))
def test_what_is_wrapped_keeps_every_letter_in_lines_that_fit(text: str, width: int, indent: int) -> None:
    lines = plain(wrapped(Text(text), width, indent=indent))

    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(st.lists(SENTENCES, min_size=1, max_size=5), WIDTHS, st.integers(0, 4))
def test_what_is_packed_keeps_every_part_in_lines_that_fit(parts: list[str], width: int, indent: int) -> None:
    lines = plain(packed([Text(part) for part in parts], width, between=" ", indent=indent))

    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join("".join(parts).split())


def test_a_name_keeps_its_version_and_its_beginning() -> None:
    assert cut_name("customer-onboarding-emails-v12", 20) == "custom…ng-emails-v12"
    assert cut_name("checkout-v2", 7) != cut_name("checkout-v1", 7)


def test_parts_that_fit_stand_in_one_line_and_others_begin_a_new_one() -> None:
    parts = [Text("quality 0.9"), Text("median 400 ms"), Text("cost $0.02")]

    assert plain(packed(parts, 40)) == ["quality 0.9 · median 400 ms · cost $0.02"]
    assert plain(packed(parts, 30, indent=2)) == ["  quality 0.9 · median 400 ms", "  cost $0.02"]


def test_the_style_of_a_part_covers_that_part_alone() -> None:
    (line,) = packed([Text("12:00", style="bold"), Text("2 deployments")], 40)

    assert [(span.start, span.end, str(span.style)) for span in line.spans] == [(0, 5, "bold"), (5, 8, "dim")]
    assert str(line.style) == ""
