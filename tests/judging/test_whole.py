"""Many who ask at once are answered by one computation, and what goes wrong reaches everybody it concerns."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from continuum.judging.whole import Together, whole_judgement
from tests.builders import assistant, user


async def test_those_who_ask_at_once_are_computed_together_and_no_batch_is_too_large() -> None:
    batches: list[list[int]] = []

    def double(cases: Sequence[int]) -> list[int]:
        batches.append(list(cases))
        return [2 * case for case in cases]

    together = Together(double, 4)
    assert await asyncio.gather(*map(together.ask, range(10))) == [2 * n for n in range(10)]
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_the_event_loop_goes_on_while_it_computes() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait(cases: Sequence[str]) -> list[str]:
        begun.set()
        assert go_on.wait(10)
        return list(cases)

    together = Together(wait, 8)
    first = asyncio.create_task(together.ask("first"))
    await asyncio.to_thread(begun.wait, 10)
    second = asyncio.create_task(together.ask("second"))
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(first, second) == ["first", "second"]


async def test_an_error_reaches_its_own_batch_and_the_next_one_is_computed() -> None:
    def invert(cases: Sequence[int]) -> list[float]:
        return [1 / case for case in cases]

    together = Together(invert, 2)
    outcomes = await asyncio.gather(*map(together.ask, (1, 0, 2, 4)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes[:2]] == [ZeroDivisionError, ZeroDivisionError]
    assert outcomes[2:] == [0.5, 0.25]
    assert await together.ask(8) == 0.125


async def test_whoever_waits_is_told_when_the_work_is_cancelled() -> None:
    release = threading.Event()

    def wait(cases: Sequence[int]) -> list[int]:
        release.wait(10)
        return list(cases)

    together = Together(wait, 1)
    asking = [asyncio.create_task(together.ask(n)) for n in range(3)]
    await asyncio.sleep(0.05)
    assert together._at_work is not None
    together._at_work.cancel()
    release.set()
    assert all(isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*asking, return_exceptions=True))


@pytest.mark.parametrize(("given", "kept"), [(0.2, 1.0), (3.25, 3.25), (7.0, 5.0)])
def test_a_score_stays_on_the_scale(given: float, kept: float) -> None:
    assert whole_judgement((user("hello"),), assistant("good day"), given, 0.5).overall == kept


def test_a_score_that_is_no_number_is_none() -> None:
    found = whole_judgement((user("hello"),), assistant("good day"), float("nan"), None)
    assert (found.status, found.overall) == ("unparseable", None)
