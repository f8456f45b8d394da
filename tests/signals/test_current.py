import asyncio
from contextvars import Context
from uuid import UUID

import pytest

from continuum.errors import ConfigurationError
from continuum.signals.current import context, interaction
from continuum.signals.decorator import capture
from continuum.spool.users import hashed_user, user_key
from tests.signals.conftest import Kept


@capture(task="support")
async def handle(message: str) -> str:
    return interaction.id


async def test_the_id_is_the_same_inside_the_call_and_after_awaiting_it() -> None:
    inside = await handle("hello")

    assert interaction.id == inside


async def test_where_nothing_was_captured_the_error_says_what_to_do() -> None:
    async def elsewhere() -> str:
        return interaction.id

    async def alone() -> None:
        await asyncio.gather(handle("in a context of its own"))
        with pytest.raises(ConfigurationError, match=r"nothing was captured in this context; read interaction\.id inside"):
            await elsewhere()
        assert repr(interaction) == "<interaction none in this context>"

    await asyncio.create_task(alone(), context=Context())


async def test_two_tasks_do_not_see_each_others_interactions() -> None:
    async def serve(message: str) -> bool:
        mine = await handle(message)
        await asyncio.sleep(0.005)
        return interaction.id == mine

    assert all(await asyncio.gather(*(serve(str(n)) for n in range(20))))


async def test_conversation_and_user_are_those_of_the_context_and_nest(kept: Kept) -> None:
    with context(conversation_id="c1", user_id=UUID(int=7)):
        await handle("first")
        async with context(user_id="other"):
            await handle("second")
        await handle("third")
    await handle("fourth")

    seven, other = (hashed_user(name, user_key()) for name in (str(UUID(int=7)), "other"))
    assert [(one.conversation_id, one.user_id) for one in kept.all()] == [
        ("c1", seven),
        ("c1", other),
        ("c1", seven),
        (None, None),
    ]


async def test_the_callers_own_id_is_given_to_the_first_call_only(kept: Kept) -> None:
    with context(interaction_id="mine"):
        first = await handle("first")
        second = await handle("second")

    assert first == "mine"
    assert second != "mine"
    assert [one.id for one in kept.all()] == [first, second]


async def test_a_context_left_elsewhere_than_it_was_entered_does_no_harm() -> None:
    named = context(user_id="u")

    async def enter() -> None:
        named.__enter__()

    await asyncio.create_task(enter())
    named.__exit__()
