import base64
import xml.etree.ElementTree as ET
from io import StringIO

import pytest
from rich.console import Console

from continuum.guard.guard import RegressionGuard
from continuum.guard.report import forest_markdown, forest_svg, headline, print_verdict, to_markdown, verdict_table
from continuum.judging.scripted import ScriptedJudge
from continuum.records import Verdict
from continuum.store.database import Store
from tests.guard.conftest import RuledAnswerer, a_checkpoint, golden_set, read_stars

METRICS = ["helpfulness", "accuracy", "conciseness", "tone"]


async def verdict_on(store: Store, answer: str, metrics: list[str], size: int = 40) -> Verdict:
    guard = RegressionGuard(
        golden_set(size, lambda n: "4 stars"),
        metrics,
        judge=ScriptedJudge("stars", read_stars),
        answerer=RuledAnswerer({"support-v1": lambda n: answer if n % 3 else "4 and fine"}),
        store=store,
    )
    return await guard.evaluate(a_checkpoint())


@pytest.fixture
async def blocked(store: Store) -> Verdict:
    return await verdict_on(store, "2 | *bold* [red]x[/red] <img src=x>", METRICS)


async def test_the_headline_says_what_the_candidate_may_do(store: Store, blocked: Verdict) -> None:
    undecided = await verdict_on(store, "4 stars", ["tone"])

    assert headline(blocked).startswith("✗ BLOCKED: support-v1 against production, 40 golden items in 40 groups; may not serve")
    assert headline(undecided).endswith("may serve up to 5% of traffic")


async def test_the_report_holds_the_numbers_the_reasons_and_the_worst_answer(blocked: Verdict) -> None:
    report = to_markdown(blocked)

    assert "| helpfulness | 0.750 | 0.425 | -0.325 |" in report
    assert f"- {blocked.failed_checks[0]}" in report
    assert "> **asked** question 1" in report


async def test_captured_words_cannot_draw_in_the_report(blocked: Verdict) -> None:
    report = to_markdown(blocked)

    assert "<img" not in report
    assert r"2 \| \*bold\* \[red\]x\[/red\] &lt;img src=x&gt;" in report


async def test_the_table_shows_answers_as_they_are(blocked: Verdict) -> None:
    console = Console(width=200, record=True, file=StringIO())
    console.print(verdict_table(blocked))

    text = console.export_text()
    assert "[red]x[/red]" in text
    assert "regressed" in text


async def test_a_metric_that_cannot_be_tested_has_no_p_and_says_why(store: Store) -> None:
    verdict = await verdict_on(store, "4 stars", ["tone"], size=4)
    console = Console(width=80, file=StringIO())
    console.print(verdict_table(verdict))

    assert "| - | undecided |" in to_markdown(verdict)
    assert "- tone rose by 0.00" in to_markdown(verdict)
    shown = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert "4 independent groups are too few to test, 10 are needed" in shown


@pytest.mark.parametrize("width", [40, 80])
async def test_the_numbers_are_whole_where_there_is_no_screen(blocked: Verdict, width: int) -> None:
    written = StringIO()

    print_verdict(blocked, Console(width=width, file=written))

    assert "…" not in written.getvalue().partition("helpfulness fell")[0]
    assert all(f"{metric}" in written.getvalue() for metric in METRICS)
    assert written.getvalue().count("regressed") >= 4
    assert "<0.001" in written.getvalue()


async def test_the_drawing_is_valid_and_short_enough_to_show_inline(blocked: Verdict) -> None:
    drawing = forest_svg(blocked)

    root = ET.fromstring(drawing)  # noqa: S314
    names = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert names == METRICS
    assert len(forest_markdown(blocked)) < 1000
    encoded = forest_markdown(blocked).removeprefix("![deltas](data:image/svg+xml;base64,").removesuffix(")")
    assert base64.b64decode(encoded).decode() == drawing


async def test_a_verdict_without_data_can_be_shown(store: Store) -> None:
    verdict = await verdict_on(store, "4 stars", ["tone"], size=0)

    assert "no data" in to_markdown(verdict)
    assert ET.fromstring(forest_svg(verdict)).tag.endswith("svg")  # noqa: S314
