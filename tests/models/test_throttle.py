"""More calls at once while the model answers, half as many when it says that they are too many."""

import asyncio

from continuum.models.throttle import Throttle


async def answered(throttle: Throttle, calls: int, *, at_once: int) -> int:
    """Make so many calls that all succeed; the most that were under way at once."""
    under_way = most = 0
    waiting = iter(range(calls))

    async def caller() -> None:
        nonlocal under_way, most
        for _ in waiting:
            async with throttle.slot():
                under_way += 1
                most = max(most, under_way)
                await asyncio.sleep(0)
                under_way -= 1

    await asyncio.gather(*(caller() for _ in range(at_once)))
    return most


async def test_it_grows_with_each_answer_as_far_as_the_callers_go() -> None:
    throttle = Throttle(4)

    assert await answered(throttle, 200, at_once=20) == 20
    assert 20 <= throttle.limit <= 22


async def test_a_burst_of_refusals_halves_once_and_it_grows_slowly_from_there() -> None:
    throttle = Throttle(16)

    async def refused() -> None:
        async with throttle.slot() as slot:
            await asyncio.sleep(0)
            slot.refused()

    await asyncio.gather(*(refused() for _ in range(16)))
    assert (throttle.limit, throttle.cuts) == (8, 1)
    await answered(throttle, 8, at_once=8)
    assert 8 < throttle.limit < 10


async def test_it_never_goes_below_one_call() -> None:
    throttle = Throttle(2)
    for _ in range(5):
        async with throttle.slot() as slot:
            slot.refused()
    assert throttle.limit == 1


async def test_a_pause_that_one_call_is_told_holds_for_all() -> None:
    now = 100.0
    throttle = Throttle(8, clock=lambda: now)
    async with throttle.slot() as slot:
        slot.refused(0.05)

    others = [asyncio.create_task(answered(throttle, 1, at_once=1)) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert throttle.under_way == 3
    assert not any(other.done() for other in others)
    now += 1
    await asyncio.gather(*others)


async def test_who_is_cancelled_in_line_leaves_the_turn_to_the_next() -> None:
    throttle, made = Throttle(1), []

    async def call(name: str) -> None:
        async with throttle.slot():
            made.append(name)

    async with throttle.slot():
        callers = [asyncio.create_task(call(name)) for name in "abc"]
        await asyncio.sleep(0)
        callers[0].cancel()
        await asyncio.sleep(0)
    callers[1].cancel()  # Its turn has come, and it has not begun.
    await asyncio.wait(callers)

    assert made == ["c"]
    assert throttle.under_way == 0
