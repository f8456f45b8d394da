"""The watch with the judge that a task's policy names, at a real endpoint over HTTP, on either database."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from continuum.deployment.watch.watch import look
from continuum.judging.attacks import PAIRS
from continuum.policy import TaskPolicy
from continuum.store.database import Store, open_store
from tests.deployment.live import GOOD, LATER, POOR, a_deployment, a_policy, both
from tests.stub_endpoint import StubEndpoint, error, scores, stub_endpoint

CRITERIA = ({"name": "helpfulness", "weight": 1.0, "description": "Settles the question"},)


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store on each of the two databases."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    opened = open_store(url) if url else request.getfixturevalue("store")
    yield opened
    opened.close()


def steadfast(number: int, body: dict[str, Any]) -> str:
    """A judge whom no text moves."""
    data = next(iter(json.loads(body["messages"][1]["content"]).values()))
    if "answer_a" in data:
        good = {pair.first if pair.better == "first" else pair.second for pair in PAIRS if pair.better != "near"}
        better = "a" if data["answer_a"]["content"] in good else "b" if data["answer_b"]["content"] in good else "tie"
        return json.dumps({"reason": "it is right", "better": better})
    return scores(helpfulness=5 if data["answer"]["content"] == GOOD else 1)


def judged_at(stub: StubEndpoint, **judge: Any) -> TaskPolicy:
    return a_policy(judge={"model": "gpt-4o-mini", "base_url": stub.base_url, "criteria": CRITERIA} | judge)


@pytest.fixture(autouse=True)
def a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_JUDGE_API_KEY", "sk-judge")


async def test_the_policys_judge_is_tested_once_and_paid_from_the_watchs_share(either: Store) -> None:
    record = a_deployment(either)
    either.interactions.add(both(record, [POOR] * 40, [GOOD] * 40, kinds=40))
    async with stub_endpoint(steadfast) as stub:
        policy = judged_at(stub, budget_usd=10.0)
        either.tasks.register(policy)
        first = await look(either, record, policy, now=LATER)
        calls = stub.calls
        second = await look(either, record, policy, now=LATER)

    assert first.action == second.action == "rollback"
    assert stub.calls == calls
    assert first.evidence["judge"]["name"] == "gpt-4o-mini"
    spent = either.accounts.balance("support", purpose="watch").spent_micro_usd
    assert 0 < spent / 1e6 == pytest.approx(first.evidence["spend"]["period_usd"])
    assert either.accounts.balance("support").spent_micro_usd == spent


async def test_an_endpoint_that_is_away_takes_nobody_back_and_lets_nobody_on(either: Store) -> None:
    record = a_deployment(either)
    either.interactions.add(both(record, [GOOD] * 40, [GOOD] * 40, kinds=40))
    async with stub_endpoint(lambda number, body: error(401, "no such key")) as stub:
        found = await look(either, record, judged_at(stub, admission="off"), now=LATER)

    assert found.action == "alarm"
    assert found.words.startswith("the watch has no working signal: the judge cannot be asked")
    assert "sk-judge" not in json.dumps(found.evidence) + found.words
