from pydantic import BaseModel

from continuum.models.scripted import ScriptedModel
from continuum.records import Message
from tests.builders import user


class Day(BaseModel):
    day: str


async def test_a_scripted_model_answers_what_the_script_says() -> None:
    echo = ScriptedModel("echo", lambda messages: f"You said: {messages[-1].text}")
    answer = await echo.complete([user("hello there")])
    assert answer.message == Message(role="assistant", content="You said: hello there")
    assert answer.usage is not None
    assert answer.usage.input_tokens == 2


async def test_a_scripted_answer_is_parsed_where_it_fits() -> None:
    assert (await ScriptedModel("m", lambda _: '{"day": "Monday"}').complete([], schema=Day)).parsed == Day(day="Monday")
    assert (await ScriptedModel("m", lambda _: "Monday").complete([], schema=Day)).parsed is None
