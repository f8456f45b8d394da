import pytest

from continuum.errors import ConfigurationError
from continuum.signals.client import client
from tests.signals.conftest import Provider


async def test_the_clients_calls_go_to_the_gateway_and_name_their_task(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTINUUM_GATEWAY_URL", provider.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")

    async with client("support", default_headers={"x-mine": "1"}, max_retries=0) as found:
        answer = await found.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "Hi"}])

    sent = provider.headers[0]
    assert answer.choices[0].message.content == "You said: Hi"
    assert (sent["x-continuum-task"], sent["x-mine"]) == ("support", "1")
    assert "sk-secret" not in sent["authorization"]


async def test_options_given_stand_above_the_defaults() -> None:
    async with client("support", base_url="http://127.0.0.1:1/v1", api_key="mine") as found:
        assert str(found.base_url) == "http://127.0.0.1:1/v1/"
        assert found.api_key == "mine"


def test_a_bad_task_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="task name"):
        client("no good!")
