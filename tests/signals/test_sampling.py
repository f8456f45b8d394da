import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from continuum.errors import ConfigurationError
from continuum.policy import CapturePolicy, TaskPolicy
from continuum.signals.current import context, interaction
from continuum.signals.decorator import capture
from continuum.signals.stats import capture_stats
from continuum.spool.spool import default_spool
from tests.signals.conftest import Kept


def test_a_conversation_is_captured_whole_or_not_at_all(kept: Kept) -> None:
    handle = capture(lambda text: text, task="support", sample_rate=0.5)

    for turn in range(4):
        for conversation in range(60):
            with context(conversation_id=f"c{conversation}"):
                handle(f"turn {turn}")

    turns: dict[str | None, int] = {}
    for one in kept.all():
        turns[one.conversation_id] = turns.get(one.conversation_id, 0) + 1
    assert set(turns.values()) == {4}
    assert 15 <= len(turns) <= 45


def test_calls_that_belong_to_no_conversation_are_drawn_one_by_one(kept: Kept) -> None:
    handle = capture(lambda text: text, task="support", sample_rate=0.5)
    before = capture_stats()

    for _ in range(200):
        handle("hello")

    captured = len(kept.all())
    assert 60 <= captured <= 140
    after = capture_stats()
    assert (after.captured - before.captured, after.unsampled - before.unsampled) == (captured, 200 - captured)


def test_a_call_that_is_left_out_has_an_id_and_passes_everything_on(kept: Kept) -> None:
    handle = capture(lambda text: (interaction.id, text), task="support", sample_rate=0)

    inside, text = handle("hello")

    assert (interaction.id, text) == (inside, "hello")
    with context(interaction_id="mine"):
        assert handle("hello")[0] == "mine"
    assert kept.all() == []


async def test_streams_and_coroutines_that_are_left_out_run_as_ever(kept: Kept) -> None:
    @capture(task="support", sample_rate=0)
    async def stream(text: str) -> AsyncIterator[str]:
        yield text
        yield interaction.id

    @capture(task="support", sample_rate=0)
    def sync_stream(text: str) -> Iterator[str]:
        yield text

    @capture(task="support", sample_rate=0)
    async def fail(text: str) -> None:
        raise ValueError(text)

    words = [word async for word in stream("a")]
    assert (words, list(sync_stream("b"))) == (["a", words[1]], ["b"])
    with pytest.raises(ValueError, match="c"):
        await fail("c")
    assert kept.all() == []


@pytest.mark.parametrize(("outer_rate", "inner_rate", "captured"), [(1.0, 0.0, 2), (0.0, 1.0, 0)])
async def test_a_nested_call_follows_its_outer_call(kept: Kept, outer_rate: float, inner_rate: float, captured: int) -> None:
    @capture(task="support", sample_rate=inner_rate)
    async def inner(text: str) -> str:
        return text

    @capture(task="support", sample_rate=outer_rate)
    async def outer(text: str) -> str:
        await asyncio.gather(inner("one"))
        return text

    await outer("go")

    assert len(kept.all()) == captured


def test_the_tasks_policy_gives_the_rate_and_the_decorator_stands_above_it(kept: Kept) -> None:
    kept.store.tasks.register(TaskPolicy(task="rare", capture=CapturePolicy(sample_rate=1e-9)))
    by_policy = capture(lambda text: text, task="rare")
    by_decorator = capture(lambda text: text, task="rare", sample_rate=1.0)

    by_decorator("has the policy read")
    kept.all()
    deadline = time.monotonic() + 10
    while default_spool().sample_rate("rare") == 1.0 and time.monotonic() < deadline:
        time.sleep(0.01)  # the thread reads policies after it has stored what waited
    assert default_spool().sample_rate("rare") == 1e-9
    by_policy("left out")
    by_decorator("kept")

    kept.all()
    assert [one.messages[0].text for one in kept.store.interactions.scan("rare")] == ["has the policy read", "kept"]


@pytest.mark.parametrize("rate", [-0.1, 1.1, "half", True, float("nan")])
def test_a_rate_that_is_no_share_is_refused_where_it_is_written(rate: object) -> None:
    with pytest.raises(ConfigurationError, match=r"sample_rate is .*; it must be a number from 0 to 1"):
        capture(task="support", sample_rate=rate)  # type: ignore[call-overload]
