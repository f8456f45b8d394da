"""`continuum annotate` and `continuum judge` as typed: what they say, and what they refuse."""

import json
import threading
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from continuum.cli import app
from continuum.demo.provider import SimulatedProvider
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.records import Review
from continuum.store.database import Store
from continuum.store.retention import erase
from tests.builders import interactions


@pytest.fixture
def provider_url() -> Iterator[str]:
    """The simulated provider in a thread with a loop of its own, since a command has its own too."""
    import asyncio

    loop, ready, found = asyncio.new_event_loop(), threading.Event(), []
    stop = asyncio.Event()

    async def serve() -> None:
        async with SimulatedProvider(0) as provider:
            found.append(provider.base_url)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait(10)
    yield found[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_a_task_is_annotated_within_its_budget_and_its_judge_is_told_of(store: Store, provider_url: str) -> None:
    judge = JudgePolicy(model="sim-judge", base_url=provider_url, budget_usd=5.0, audit_rate=0.5, anchors=0)
    store.tasks.register(TaskPolicy(task="support", judge=judge))
    store.interactions.add(interactions(12))
    assert "nobody has judged support yet" in run("judge", "support")

    first, again, told = run("annotate", "support"), run("annotate", "support"), run("judge", "support")

    assert "12 judged for $" in first
    assert "uncalibrated: 0 of 30 audit labels" in first
    assert "drawn at random" in first
    assert again.startswith("0 judged for $0.0000")
    assert "sim-judge is admitted" in told
    assert "over 12 judged" in told
    assert "annotation $0." in told
    plain = json.loads(run("judge", "support", "--json"))
    assert plain["judge"] == "sim-judge"
    assert {row["purpose"]: row["limit_usd"] for row in plain["spending"]}["annotation"] == 2.5


def test_a_budget_that_does_not_cover_the_test_of_a_judge_says_what_to_raise(store: Store, provider_url: str) -> None:
    judge = JudgePolicy(model="sim-judge", base_url=provider_url, budget_usd=0.01)
    store.tasks.register(TaskPolicy(task="support", judge=judge))
    store.interactions.add(interactions(3))

    told = run("annotate", "support")

    assert "the budget ended it" in told
    assert "judge.shares" in told


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("judge.budget_usd=1e30", "budget_usd"),
        ("judge.base_url=localhost:8000", "http://"),
        ("judge.base_url=http://h/v1?api_key=sk-secret", "query"),
        ('judge.jury=["a","a"]', "each of the jury once"),
        ("judge.shares.annotation=0.9", "guard 0.3"),
        ("judge.second.model=gpt-4o-mini", "who also selects"),
    ],
)
def test_a_policy_of_judging_that_makes_no_sense_is_refused_and_says_why(store: Store, change: str, words: str) -> None:
    store.tasks.register(TaskPolicy(task="support", judge=JudgePolicy(model="gpt-4o-mini")))
    result = CliRunner().invoke(app, ["tasks", "set", "support", change])
    assert result.exit_code == 1
    assert words in str(result.exception)
    assert "sk-secret" not in str(result.exception)


def test_what_waits_for_people_is_told_of_every_queue(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support"))
    rows = interactions(4)
    store.interactions.add(rows)
    queues = ("audit", "golden", "golden", "useful")
    store.reviews.add(Review(task="support", interaction_id=row.id, queue=q) for row, q in zip(rows, queues, strict=True))
    erase(store, [rows[3].id])

    told = run("judge", "support")

    assert "waiting for people: 1 audit, 0 useful, 0 anchor, 2 golden (continuum label support --queue golden)" in told


def test_modes_of_annotate_exclude_each_other(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support"))
    assert "exclude each other" in run("annotate", "support", "--batch", "--live", code=2)
