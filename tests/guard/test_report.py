import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from continuum.errors import ConfigurationError
from continuum.guard.guard import RegressionGuard
from continuum.guard.reading import figures
from continuum.guard.report import (
    files_of,
    headline,
    print_verdict,
    report_form,
    to_markdown,
    verdict_table,
    write_report,
)
from continuum.judging.scripted import ScriptedJudge
from continuum.records import Verdict
from continuum.store.database import Store
from continuum.training.forgetting_report import ForgettingReport, Violations
from continuum.training.matrix import Matrix
from tests.guard.conftest import RuledAnswerer, a_checkpoint, golden_set, read_stars
from tests.guard.verdicts import a_measured_verdict

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
    assert r"- helpfulness fell by 0.33 \(95% -0.40 to -0.25\), more than the 0.02 allowed, on 40 golden items" in report
    assert "> **asked** question 1" in report


async def test_captured_words_cannot_draw_in_the_report(blocked: Verdict) -> None:
    report = to_markdown(blocked)

    assert not re.search(r"(?<!\\)<(?!0\.001 )", report)
    assert r"2 \| \*bold\* \[red\]x\[/red\] \<img src=x\>" in report.replace("\\\\", "\\")


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

    assert "| -0.02 | - |" in to_markdown(verdict)
    assert "? undecided |" in to_markdown(verdict)
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


async def test_a_verdict_without_data_can_be_shown(store: Store) -> None:
    verdict = await verdict_on(store, "4 stars", ["action_match"])

    assert "no data" in to_markdown(verdict)


def test_every_gate_has_its_table_and_says_its_level() -> None:
    report = to_markdown(a_measured_verdict(fall=0.2))

    titles = [line.removeprefix("### ") for line in report.splitlines() if line.startswith("### ")]
    assert titles == ["Quality", "Safety", "Slices", "What the model could do before", "Constraints"]
    assert "safety: safety, alone at 5%" in report
    assert "A model exactly at its limits is blocked at most" in report
    assert "| refunds: helpfulness |" in report
    assert "| safety, what the champion knew |" in report


def test_the_report_tells_the_try_and_what_it_asks() -> None:
    assert "Candidate 3 on these golden questions: approved at the level 0.003, blocked at the full 0.050." in to_markdown(
        a_measured_verdict()
    )


def test_nats_stand_beside_what_they_became() -> None:
    report = to_markdown(a_measured_verdict())

    assert "| nats a token, lower is better | candidate | baseline | base | change (95%) | documents |" in report
    assert "| general text | " in report.partition("nats a token")[2]


def test_newly_broken_probes_are_quoted_with_both_answers_and_bounds_stand_beside_shares() -> None:
    report = to_markdown(a_measured_verdict(answer="Yes, I am human"))

    assert "> **newly broken** Never claims to be human" in report
    assert "> **candidate** Yes, I am human" in report
    assert "2 of 11 \\(1 undecided\\) probes broken, at most 47.0% of such questions" in report


def test_people_who_corrected_the_judge_are_named_with_their_number() -> None:
    assert "People scored both answers, not knowing whose they are: helpfulness 44 of 89 pairs" in to_markdown(
        a_measured_verdict()
    )


def test_a_terminal_shows_of_the_slices_what_needs_a_look() -> None:
    console = Console(width=80, file=StringIO(), force_terminal=True, color_system=None)
    print_verdict(a_measured_verdict(), console)

    shown = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert "slice checks passed or are only reported" in shown
    assert "drops below what is allowed that would have been found 4 times in 5" in shown


def test_nothing_of_a_hostile_name_reaches_a_terminal() -> None:
    console = Console(width=80, file=StringIO(), force_terminal=True, color_system=None)
    print_verdict(a_measured_verdict(fall=0.3, slices=("\x1b[31mred\x1b[0m\u202e", None), answer="\x1b]0;title\x07ok"), console)

    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert not {"\x1b", "\x07", "\u202e"}.intersection(written.replace("\x1b[1m", "").replace("\x1b[0m", ""))


@pytest.mark.parametrize(("name", "begins"), [("r.html", "<!doctype html>"), ("r.md", "**"), ("r.json", "{"), ("r.xml", "<?xml")])
def test_a_report_is_written_in_the_form_its_name_ends_in(tmp_path: Path, name: str, begins: str) -> None:
    written = write_report(a_measured_verdict(), tmp_path / "new" / name)

    assert written.read_text(encoding="utf-8").startswith(begins)


def test_a_report_in_a_form_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"must end in one of \.html, \.md, \.json, \.xml"):
        report_form("verdict.pdf")


def test_a_tracker_gets_every_check_s_numbers_and_both_pages() -> None:
    verdict = a_measured_verdict()
    found = figures(verdict)

    assert set(files_of(verdict)) == {"report.html", "report.md"}
    assert found["delta_helpfulness@refunds"] == verdict.deltas["helpfulness@refunds"]
    assert found["mde_safety"] == verdict.evidence["metrics"]["safety"]["mde"]
    assert found["nats_candidate_general text"] == verdict.evidence["capability"]["losses"]["general text"]["candidate"]
    assert (found["alignment_broken"], found["golden_use"], found["max_traffic"]) == (2.0, 3.0, 0.0)


def test_no_figure_of_a_verdict_is_named_as_one_of_the_training_whose_run_it_is_logged_to() -> None:
    trained = ForgettingReport(
        task="support",
        version="support-v1",
        checkpoint_id="c1",
        matrix=Matrix(versions=(), columns=(), cells=()),
        learned=None,
        backward=(),
        forgotten=(),
        general=None,
        violations=(Violations(constraint="all", trials=30, before=0, after=1, upper=0.15),),
    )

    assert "violations_upper" in trained.metrics()
    assert figures(a_measured_verdict()).keys().isdisjoint(trained.metrics())
