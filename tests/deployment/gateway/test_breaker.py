"""The breaker of one arm: what opens it, what does not, and how it closes again."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum.deployment.gateway.breaker import Breaker, Breakers, Trip, answered
from continuum.serving_policy import BreakerPolicy


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def trips() -> list[Trip]:
    return []


@pytest.fixture
def a_breaker(clock: Clock, trips: list[Trip]) -> Callable[..., Breaker]:
    """Makes one that opens at half of ten requests within 30 seconds."""

    def make(**policy: object) -> Breaker:
        return Breaker("support", "support-v1", BreakerPolicy.model_validate(policy), trips.append, clock)

    return make


def test_half_of_the_requests_without_an_answer_open_it_once_and_say_what_was_seen(
    a_breaker: Callable[..., Breaker], trips: list[Trip]
) -> None:
    breaker = a_breaker()
    for number in range(5):
        breaker.saw(True, 100.0 + number)
    for number in range(9):
        breaker.saw(False, error=f"HTTP 50{number}")

    assert not breaker.allows()
    (trip,) = trips
    assert (trip.task, trip.model, trip.cause) == ("support", "support-v1", "errors")
    assert trip.words == "5 of 10 requests found no answer within 30 s"
    assert trip.evidence == {
        "cause": "errors",
        "requests": 10,
        "errors": 5,
        "timed": 5,
        "slow": 0,
        "mean_first_byte_ms": 102.0,
        "examples": ["HTTP 500", "HTTP 501", "HTTP 502", "HTTP 503", "HTTP 504"],
        "breaker": BreakerPolicy().model_dump(mode="json"),
    }


def test_a_few_requests_say_nothing(a_breaker: Callable[..., Breaker], trips: list[Trip]) -> None:
    breaker = a_breaker()
    for _ in range(9):
        breaker.saw(False)

    assert breaker.allows()
    assert trips == []


def test_errors_that_are_long_ago_are_forgotten(a_breaker: Callable[..., Breaker], clock: Clock, trips: list[Trip]) -> None:
    breaker = a_breaker()
    for _ in range(60):
        breaker.saw(False)
        clock.seconds += 4

    assert trips == []
    assert breaker.allows()


def test_late_answers_open_it_where_the_policy_names_a_time(a_breaker: Callable[..., Breaker], trips: list[Trip]) -> None:
    breaker = a_breaker(slow_ms=500)
    for _ in range(6):
        breaker.saw(True, 100)
    for _ in range(6):
        breaker.saw(True, 900)

    (trip,) = trips
    assert trip.cause == "slow"
    assert trip.words == "6 of 12 answers took longer than 500 ms to begin within 30 s"
    assert trip.evidence["mean_first_byte_ms"] == 500.0


def test_late_answers_are_nothing_where_the_policy_names_no_time(a_breaker: Callable[..., Breaker], trips: list[Trip]) -> None:
    breaker = a_breaker()
    for _ in range(50):
        breaker.saw(True, 60_000)

    assert trips == []


def test_after_a_while_one_request_tries_it_and_an_answer_closes_it(
    a_breaker: Callable[..., Breaker], clock: Clock, trips: list[Trip]
) -> None:
    breaker = a_breaker(cool_off_s=20)
    for _ in range(10):
        breaker.saw(False)
    clock.seconds += 19
    assert (breaker.state, breaker.allows()) == ("open", False)
    clock.seconds += 1
    assert breaker.state == "half_open"

    assert [breaker.allows() for _ in range(5)] == [True, False, False, False, False]
    breaker.saw(True, 100)

    assert breaker.state == "closed"
    assert breaker.allows()
    for _ in range(9):
        breaker.saw(False)
    assert len(trips) == 1, "what was counted before it opened is not held against it again"


def test_a_trial_that_fails_keeps_it_open_and_is_not_told_again(
    a_breaker: Callable[..., Breaker], clock: Clock, trips: list[Trip]
) -> None:
    breaker = a_breaker(cool_off_s=20)
    for _ in range(10):
        breaker.saw(False)
    clock.seconds += 20
    breaker.allows()
    breaker.saw(False)

    assert not breaker.allows()
    assert len(trips) == 1
    clock.seconds += 20
    assert breaker.allows()


def test_a_trial_that_never_comes_back_is_followed_by_another(a_breaker: Callable[..., Breaker], clock: Clock) -> None:
    breaker = a_breaker(cool_off_s=20)
    for _ in range(10):
        breaker.saw(False)
    clock.seconds += 20
    assert breaker.allows()
    clock.seconds += 19
    assert not breaker.allows()
    clock.seconds += 1

    assert breaker.allows()


def test_what_was_asked_before_it_opened_neither_closes_it_nor_keeps_it_open(
    a_breaker: Callable[..., Breaker], clock: Clock
) -> None:
    breaker = a_breaker(cool_off_s=20)
    for _ in range(10):
        breaker.saw(False)
    clock.seconds += 19
    breaker.saw(True, 100)
    breaker.saw(False)

    assert breaker.state == "open"
    clock.seconds += 1
    assert breaker.allows()


def test_an_error_is_shown_in_part_and_only_the_last_ones(a_breaker: Callable[..., Breaker], trips: list[Trip]) -> None:
    breaker = a_breaker(min_requests=50)
    for number in range(50):
        breaker.saw(False, error=f"{number} " + 10_000 * "x")

    examples = trips[0].evidence["examples"]
    assert [one.split(" ")[0] for one in examples] == ["45", "46", "47", "48", "49"]
    assert {len(one) for one in examples} == {200}


@given(told=st.lists(st.booleans(), max_size=80), rate=st.floats(0.05, 1.0), least=st.integers(1, 30))
def test_within_a_window_it_opens_at_the_first_error_that_makes_the_share_and_never_before(
    told: list[bool], rate: float, least: int
) -> None:
    clock, trips = Clock(), []
    breaker = Breaker("support", "support-v1", BreakerPolicy(error_rate=rate, min_requests=least), trips.append, clock)
    for count, ok in enumerate(told, start=1):
        breaker.saw(ok)
        if not ok and count >= least and told[:count].count(False) >= rate * count:
            assert [trip.evidence["requests"] for trip in trips] == [count]
            assert breaker.state == "open"
            return
        assert trips == []


@given(pauses=st.lists(st.floats(0, 40, allow_nan=False), max_size=80))
def test_it_never_opens_for_what_lies_outside_the_window(pauses: list[float]) -> None:
    clock, trips, at = Clock(), [], []
    breaker = Breaker("support", "support-v1", BreakerPolicy(), trips.append, clock)
    for pause in pauses:
        clock.seconds += pause
        at.append(clock.seconds)
        breaker.saw(False)
        within = [one for one in at if one > clock.seconds - 30]
        if trips:
            assert trips[0].evidence["requests"] <= len(within)
            return


# --- one for each arm ------------------------------------------------------------------------------------------------


def test_each_model_of_each_task_has_its_own(clock: Clock, trips: list[Trip]) -> None:
    breakers = Breakers(lambda task: BreakerPolicy(min_requests=1), trips.append, clock)
    breakers.of("support", "support-v2").saw(False)

    assert not breakers.of("support", "support-v2").allows()
    assert breakers.of("support", "support-v1").allows()
    assert breakers.of("billing", "support-v2").allows()
    assert breakers.open() == [("support", "support-v2")]


def test_a_model_that_serves_no_longer_is_forgotten_and_the_others_keep_what_they_counted(
    clock: Clock, trips: list[Trip]
) -> None:
    breakers = Breakers(lambda task: BreakerPolicy(min_requests=2), trips.append, clock)
    for model in ("support-v1", "support-v2"):
        breakers.of("support", model).saw(False)

    breakers.keep({("support", "support-v1")})
    for model in ("support-v1", "support-v2"):
        breakers.of("support", model).saw(False)

    assert [trip.model for trip in trips] == ["support-v1"]


def test_a_policy_that_changed_holds_from_the_next_request_on(clock: Clock, trips: list[Trip]) -> None:
    policies = {"support": BreakerPolicy()}
    breakers = Breakers(policies.__getitem__, trips.append, clock)
    breakers.of("support", "support-v1").saw(True)

    policies["support"] = BreakerPolicy(min_requests=1)
    breakers.keep({("support", "support-v1")})
    breakers.of("support", "support-v1").saw(False)

    assert len(trips) == 1


@pytest.mark.parametrize(
    ("status", "says"),
    [(200, True), (204, True), (302, False), (400, None), (404, False), (413, None), (422, None), (429, False), (500, False)],
)
def test_a_refusal_of_the_request_itself_says_nothing_of_the_model(status: int, says: bool | None) -> None:
    assert answered(status) is says
