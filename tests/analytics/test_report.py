import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from continuum.analytics.arms import FORGETTING
from continuum.analytics.beside import Reading
from continuum.analytics.charts import APART, BOTTOM, HEIGHT, TOP, continued, frontier_chart
from continuum.analytics.curve import LearningCurve
from continuum.analytics.frontier import Standing
from continuum.analytics.projection import Ahead
from continuum.analytics.short import ahead_words, findings
from continuum.analytics.telling import sections
from continuum.errors import ConfigurationError
from continuum.judging.judge import Judgement
from continuum.judging.scripted import ScriptedJudge
from continuum.models.budget import Budget
from continuum.records import Message, VerdictStatus
from continuum.rubric import Criterion
from continuum.splits.golden_growth import hold_out
from continuum.statistics.means import Estimate
from continuum.store.database import Store
from continuum.tracking.tracker import FolderTracker
from tests.analytics.wheel import TASK, Starred, begin, captured, judged, star_judge, train, turned


class Page(HTMLParser):
    """What a browser would make of a page: its elements with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


async def test_the_same_curve_asked_for_again_asks_nobody_and_is_the_same(store: Store) -> None:
    await turned(store, 2)
    first, second = Starred(), Starred()

    one = await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=first)
    two = await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=second)

    assert first.asked
    assert second.asked == {}
    assert one == two


async def test_a_curve_that_is_broken_off_goes_on_where_it_was(store: Store) -> None:
    begin(store)
    train(store, 1)

    class Cut(Starred):
        """Is cut off when the base has answered and v1 is asked."""

        async def answer(self, model: object, conversations: object) -> list[Message | None]:
            if model is not None:
                raise ConnectionError("cut")
            return await super().answer(model, conversations)  # type: ignore[arg-type]

    Cut.__module__, Cut.__qualname__ = Starred.__module__, Starred.__qualname__
    with pytest.raises(ConnectionError):
        await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=Cut())
    after = Starred()
    await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=after)

    assert set(after.asked) == {"v1"}


async def test_a_judge_is_paid_once_from_the_tasks_guard_budget(store: Store) -> None:
    begin(store)
    train(store, 1)

    class Paid:
        """Asks a scripted judge, and takes a cent for each judgement."""

        name = "stars"
        version = "1"
        capabilities = ScriptedJudge("stars", lambda conversation, response, criterion: 3.0).capabilities

        async def judge(
            self, conversation: object, response: Message, criteria: list[Criterion], *, budget: Budget | None = None
        ) -> Judgement:
            asked = ScriptedJudge("stars", lambda conversation, answer, criterion: float(answer.text[0]), cost_usd=0.01)
            return await asked.judge(conversation, response, criteria, budget=budget)  # type: ignore[arg-type]

        def upper_bound_usd(self, *_: object) -> float:
            return 0.01

    spent = []
    for _ in range(2):
        await LearningCurve.compute(TASK, ["v1"], store=store, judge=Paid(), answerer=Starred())  # type: ignore[arg-type]
        spent.append(store.accounts.balance(TASK, purpose="guard").spent_micro_usd)

    assert spent[0] > 0
    assert spent[1] == spent[0]


async def test_money_that_runs_out_leaves_answers_without_a_score_and_the_curve_says_so(store: Store) -> None:
    policy = begin(store)
    store.tasks.register(policy.model_copy(update={"judge": policy.judge.model_copy(update={"budget_usd": 10.0})}))
    train(store, 1)
    dear = ScriptedJudge("stars", lambda conversation, response, criterion: float(response.text[0]), cost_usd=0.02)

    curve = await LearningCurve.compute(TASK, ["base", "v1"], store=store, judge=dear, answerer=Starred())

    assert sum(point.means["helpfulness"].items for point in curve.points if point.means) < 2 * curve.items
    assert any("budget for the guard ran out" in note for note in curve.notes)


async def test_the_page_stands_alone_and_lets_nothing_of_a_user_through(store: Store, tmp_path: Path) -> None:
    # One of the intents is `<b>bold</b>`, and a model is named by whoever asks.
    await turned(store, 2, tmp_path)
    curve = await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=Starred())

    html = curve.report(tmp_path / "pages" / "curve.html").read_text(encoding="utf-8")

    page = Page(html)
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"script", "b", "img", "link", "iframe", "a", "object"})
    assert not any({"src", "href", "onload", "style"} & attributes.keys() for _, attributes in page.elements)
    assert not re.search(r"https?://", html)
    assert "default-src 'none'" in html
    assert "&lt;b&gt;bold&lt;/b&gt;" in html
    words = " ".join(page.words)
    told = ("Is it real", "Trajectory", "winner", "Another 1000 examples", "Cost and quality", "no data", "What made support-v2")
    for said in told:
        assert said in words
    pictures = [attributes["aria-label"] or "" for tag, attributes in page.elements if tag == "svg"]
    assert any(label.startswith("helpfulness by examples") for label in pictures)
    assert any(label.startswith("gains with 95% intervals") for label in pictures)


async def test_a_person_reads_first_whether_the_newest_version_is_better_and_than_what(store: Store) -> None:
    await turned(store, 2)
    curve = await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=Starred())

    first, *others = [one for one in findings(curve) if one.about.startswith("helpfulness: v2")]

    gain = curve.over_production["helpfulness"]
    assert (first.about, first.word) == ("helpfulness: v2 and production", gain.word)
    assert f"{gain.mean:+.3f} (95% {gain.low:+.3f} to {gain.high:+.3f}, {gain.items} items)" in first.said
    assert [one.about for one in others] == ["helpfulness: v2 and base", "helpfulness: v2 and v1"]
    assert "v2 is better than base" in others[0].said


def test_a_gain_ahead_that_is_none_is_not_told_as_one() -> None:
    words = [ahead_words(Ahead(1000, mean, mean - 0.02, mean + 0.02)) for mean in (0.05, 0.01, -0.05)]

    assert words == [
        "about +0.050 (90% +0.030 to +0.070)",
        "about +0.010 (90% -0.010 to +0.030), which may be nothing",
        "about -0.050 (90% -0.070 to -0.030), a loss",
    ]


def test_names_of_many_versions_lie_neither_upon_each_other_nor_outside_the_picture() -> None:
    standings = [Standing(f"v{n}", 0.0, 0.6 + n / 3000, n == 29, n / 30) for n in range(30)]

    page = Page(frontier_chart(standings))

    places = [
        float(attributes["y"] or "nan")
        for tag, attributes in page.elements
        if tag == "text" and "class" not in attributes and "text-anchor" not in attributes
    ]
    assert "v29 (97%)" in page.words
    assert 3 < len(places) < 30
    assert all(TOP <= y <= HEIGHT - BOTTOM for y in places)
    assert min(abs(a - b) for n, a in enumerate(places) for b in places[:n]) >= APART


async def test_versions_are_joined_with_what_they_were_continued_from_and_not_with_each_other(store: Store) -> None:
    await turned(store, 3)
    curve = await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=Starred())
    siblings = replace(curve, turns=(*curve.turns[:2], replace(curve.turns[2], before="v1")))

    joined = [[(a.model, b.model) for a, b in continued(one, "helpfulness")] for one in (curve, siblings)]

    assert joined == [[("base", "v1"), ("v1", "v2"), ("v2", "v3")], [("base", "v1"), ("v1", "v2"), ("v1", "v3")]]


async def test_a_production_that_answered_only_some_of_the_questions_is_not_drawn_as_if_it_had_answered_all(store: Store) -> None:
    policy = begin(store)
    train(store, 1)
    captured(store, 200, start=400, model=f"{TASK}-v1", variant="stable")
    assert hold_out(store, policy) is not None

    curve = await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=Starred())

    asked = next(point for point in curve.points if point.model == "production").means["helpfulness"].items
    assert 0 < asked < curve.items
    assert any(note.startswith(f"production answered {asked} of the {curve.items} items") for note in curve.notes)
    assert f"production, of {asked} items" in curve.to_html()


async def test_a_version_that_the_guard_has_blocked_is_said_to_be(store: Store) -> None:
    begin(store)
    model = train(store, 1)
    verdict = await judged(store, model)
    store.verdicts.add(verdict.model_copy(update={"id": "w", "status": VerdictStatus.BLOCKED, "approved": False}))

    curve = await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=Starred())

    assert "blocked by the guard: v1" in curve.notes


async def test_what_has_no_data_for_the_same_reason_is_told_in_one_line(store: Store) -> None:
    begin(store)
    train(store, 1)
    train(store, 2)

    curve = await LearningCurve.compute(TASK, ["base", "v1", "v2"], store=store, judge=star_judge(), answerer=Starred())

    (line,) = [one for one in curve.summary().splitlines() if "it was never deployed" in one and "p50" in one]
    assert "v1, v2" in line


async def test_a_cluster_that_gained_less_than_the_rest_is_not_said_to_have_hurt(store: Store, tmp_path: Path) -> None:
    await turned(store, 1, tmp_path)
    curve = await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=Starred())

    why = next(one for one in sections(curve) if one.key == "why support-v1")

    (found,) = curve.attributions
    assert f"in common, which is {found.common:+.3f}. One that gained less need not have lost" in why.words
    assert why.rows
    assert {row[0].text for row in why.rows} <= {"more", "less"}
    first = (*found.helped(1), *found.hurt(1))[0].first[0]
    assert f"{first.asked} → {first.learned} ({first.interaction_id})" in why.rows[0][-1].text
    assert all(row[2].text.endswith(str(row[2].word)) for row in why.rows)


async def test_json_holds_every_number_and_the_word_on_each_gain(store: Store) -> None:
    await turned(store, 2)
    curve = await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=Starred())

    told = json.loads(json.dumps(curve.to_dict(), allow_nan=False))

    assert [point["model"] for point in told["points"]] == ["production", "base", "v1", "v2"]
    assert told["points"][-1]["gains"]["helpfulness"]["word"] in {"better", "worse", "open"}
    assert told["points"][-1]["gains"]["helpfulness"]["paired"] is True
    assert told["turns"][1]["before"] == "v1"
    assert {one["metric"] for one in told["readings"]} == {"cost_per_query", "latency_ms", "forgetting", "human_agreement"}


async def test_markdown_lets_no_markup_of_a_user_through(store: Store) -> None:
    await turned(store, 1)
    curve = await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=Starred())

    markdown = curve.to_markdown()

    assert "<b>" not in markdown
    assert "| v1 |" in markdown


async def test_a_curve_is_logged_to_the_run_of_the_newest_version_that_has_one(store: Store, tmp_path: Path) -> None:
    begin(store)
    train(store, 1)
    runs = FolderTracker(tmp_path / "runs")
    curve = await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=Starred())
    untracked = curve.log(runs, store=store)
    tracked = train(store, 2, run="run-2")
    train(store, 3)
    curve = await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=Starred())

    run = curve.log(runs, store=store)

    assert untracked is None
    assert run == tracked.mlflow_run_id == "run-2"
    logged = runs.run("run-2")["curve"]
    assert logged["curve v3 helpfulness"] == curve.points[-1].means["helpfulness"].mean
    assert logged["curve v3 helpfulness gain over base"] == curve.points[-1].gains["helpfulness"].mean
    assert (tmp_path / "runs" / "runs" / "run-2" / "learning_curve.html").read_text() == curve.to_html()


async def test_a_logged_figure_has_a_name_that_a_tracker_takes_as_it_is(store: Store) -> None:
    begin(store)
    train(store, 1)
    curve = await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=Starred())
    lost = Reading(FORGETTING, "general text, nats a token", "v1", "its verdict", Estimate(2.0, None, None, 4, 4))

    # MLflow puts a hash behind a name with a comma, which nobody can read.
    assert replace(curve, readings=(lost,)).figures()["curve v1 general text in nats a token"] == 2.0


async def test_a_metric_that_there_is_not_is_told_with_all_that_there_are(store: Store) -> None:
    begin(store)
    train(store, 1)

    with pytest.raises(
        ConfigurationError, match=r"'latency' is unknown.*cost_per_query, latency_ms, forgetting, human_agreement"
    ):
        await LearningCurve.compute(TASK, ["v1"], ["latency"], store=store, judge=star_judge(), answerer=Starred())


async def test_metrics_are_any_set_and_cost_is_always_there(store: Store) -> None:
    begin(store)
    train(store, 1)

    curve = await LearningCurve.compute(TASK, ["v1"], ["tone", "forgetting"], store=store, judge=star_judge(), answerer=Starred())

    assert (curve.metrics, curve.beside) == (("tone",), ("cost_per_query", "forgetting"))
    assert curve.reference == "v1"
    assert "one model is no trajectory" in curve.summary()
