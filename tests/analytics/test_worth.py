import pytest

from continuum.analytics.arms import Contender, Point
from continuum.analytics.curve import LearningCurve
from continuum.analytics.gains import Gain
from continuum.analytics.projection import project, project_gain
from continuum.analytics.turns import Turn
from continuum.analytics.worth import Bill, bill_of, worth_of
from continuum.statistics.means import Estimate
from continuum.store.database import Store
from tests.analytics.wheel import TASK, Starred, begin, star_judge, train

EXAMPLES, MEANS, ERRORS = [100, 200, 400, 800], [0.30, 0.45, 0.55, 0.62], [0.01] * 4


def test_a_gain_ahead_has_an_interval_and_grows_with_the_examples() -> None:
    near, far = (project_gain(EXAMPLES, MEANS, ERRORS, more=more) for more in (200, 2000))

    assert not isinstance(near, str)
    assert not isinstance(far, str)
    assert near.low < near.mean < near.high
    assert 0 < near.mean < far.mean < 1 - MEANS[-1]


def test_a_gain_is_surer_than_the_level_that_it_leads_to() -> None:
    gain, level = project_gain(EXAMPLES, MEANS, ERRORS, more=800), project(EXAMPLES, MEANS, ERRORS, at=1600)

    assert not isinstance(gain, str)
    assert not isinstance(level, str)
    assert gain.high - gain.low < level.high - level.low
    assert level.mean == pytest.approx(MEANS[-1] + gain.mean, abs=0.03)


def test_too_few_versions_say_so() -> None:
    assert "too few to project from" in str(project_gain(EXAMPLES[:3], MEANS[:3], ERRORS[:3], more=1000))


def test_more_examples_cost_what_judging_and_training_cost_so_far(store: Store) -> None:
    begin(store, questions=200)
    model = train(store, 1, examples=50, looked_at=200)

    bill = bill_of(store, TASK, [Contender("base"), Contender("v1", model)])

    # A cent an interaction, of which one in four is selected; 60 s for 50 examples.
    assert (bill.selected_share, bill.interactions) == (0.25, 4000)
    assert bill.judging_usd == pytest.approx(40.0)
    assert bill.training_s == pytest.approx(1200)
    assert bill.why == ()


def test_a_price_that_nobody_knows_is_said_and_not_made_up(store: Store) -> None:
    store.tasks.ensure(TASK)

    bill = bill_of(store, TASK, [Contender("base")])

    assert (bill.judging_usd, bill.training_s, bill.interactions) == (None, None, None)
    assert len(bill.why) == 3
    assert "nothing was judged yet, so judging has no price" in bill.why


def points(means: list[float]) -> list[Point]:
    return [
        Point(f"v{n}", examples, {"accuracy": Estimate(mean, mean - 0.02, mean + 0.02, 100, 100)}, {}, {}, 0.0)
        for n, (examples, mean) in enumerate(zip(EXAMPLES, means, strict=True), 1)
    ]


def test_the_price_of_a_point_has_no_limit_where_the_gain_may_be_nothing() -> None:
    bill = Bill(1000, 0.25, 4000, 0.01, 40.0, 1200.0)

    (rising,) = worth_of(points(MEANS), ["accuracy"], {"accuracy": ERRORS}, bill)
    (flat,) = worth_of(points([0.6, 0.6, 0.6, 0.6]), ["accuracy"], {"accuracy": ERRORS}, bill)

    assert not isinstance(rising.gain, str)
    assert rising.usd_per_point == pytest.approx(40 / (100 * rising.gain.mean))
    assert rising.least_usd_per_point is not None
    assert rising.least_usd_per_point < rising.usd_per_point
    assert not isinstance(flat.gain, str)
    assert flat.gain.low < 0
    assert flat.most_usd_per_point is None


def test_a_turn_has_a_price_a_point_only_where_its_gain_is_shown() -> None:
    gains = {"shown": Gain(0.10, 0.05, 0.15, 50, 50), "open": Gain(0.10, -0.05, 0.25, 50, 50)}
    turn = Turn("v2", "v1", 100, gains, 400, 5.0, 60.0)

    assert turn.usd_per_point("shown") == pytest.approx(0.5)
    assert turn.usd_per_point("open") is None
    assert turn.usd_per_point("never measured") is None


async def test_each_turn_is_charged_what_was_judged_since_the_one_before(store: Store) -> None:
    begin(store)
    train(store, 1)
    train(store, 2)

    first, second = (await LearningCurve.compute(TASK, store=store, judge=star_judge(), answerer=Starred())).turns

    assert [(one.model, one.before, one.examples) for one in (first, second)] == [("v1", "base", 100), ("v2", "v1", 100)]
    assert (first.judged, round(first.judging_usd, 6)) == (400, 4.0)
    assert (second.judged, second.judging_usd) == (0, 0.0)
    assert second.gains["helpfulness"].paired
    assert first.training_s == 60.0
