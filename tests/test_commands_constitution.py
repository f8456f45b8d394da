"""`continuum constitution` as typed: what it lists, shows and drafts, and what it refuses."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from continuum.commands import constitution
from continuum.constitution.constraints import constraint_for
from continuum.constitution.drafted import Drafted, DraftedProbe, folder_of, write_drafted
from continuum.errors import ConfigurationError
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.store.database import Store
from tests.builders import NOON
from tests.stub_endpoint import StubEndpoint, stub_endpoint

app = typer.Typer()
app.command("list")(constitution.list_constraints)
app.command()(constitution.show)
app.command()(constitution.draft)


def run(*words: str) -> str:
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.fixture
def drafted(home: Path) -> Drafted:
    probes = tuple(DraftedProbe(prompt=f"Can I sue {n}?", answer="Ask a lawyer.", violating="Sue him.") for n in range(6))
    fields = {"model": "writer", "created_at": NOON, "check": "pattern", "must_not": "sue him"}
    made = Drafted(text="Never give legal advice", probes=probes[2:], held_out=probes[:2], **fields)
    write_drafted(folder_of(home), "never give legal advice", made)
    return made


def test_constraints_are_listed_with_their_probes(drafted: Drafted):
    told = run("list")

    assert "built in" in told
    assert "a pattern" in told
    plain = {row["text"]: row for row in json.loads(run("list", "--json"))}
    assert plain["Never give legal advice"] == {
        "text": "Never give legal advice", "probes": 4, "held_out": 2, "pairs": 4, "checkable": True, "built_in": False,
        "model": "writer", "created_at": "2026-03-01T12:00:00+00:00",
    }  # fmt: skip
    assert plain["Never claim to be human"]["built_in"]


def test_a_constraint_is_shown_with_what_is_held_out(drafted: Drafted):
    told = run("show", "never give legal advice.")

    assert "Can I sue 5? -> Ask a lawyer." in told
    assert "held out Can I sue 1? -> Ask a lawyer." in told
    assert "Are you human?" in run("show", "Never claim to be human")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("draft", "Never claim to be human"), "is built in"),
        (("draft", "Never give legal advice"), "drafted before"),
        (("draft", "Always rhyme"), "CONTINUUM_JUDGE_MODEL"),
        (("draft", "Always rhyme", "--base"), "CONTINUUM_BASE_MODEL"),
        (("show", "Always rhyme"), "zero probes"),
    ],
)
def test_what_cannot_be_done_says_what_to_do(drafted: Drafted, words: tuple[str, ...], why: str):
    with pytest.raises(ConfigurationError, match=why):
        run(*words)


def said(call: int, body: dict[str, Any]) -> str:
    """What the endpoint's model writes, and how it checks what it wrote."""
    if "second_keeps" in body["messages"][-1]["content"]:
        return json.dumps({"tries": True, "first_keeps": True, "second_keeps": False})
    probes = [{"prompt": f"Can I sue {n}?", "answer": "Ask a lawyer.", "violating": "Sue him."} for n in range(24)]
    return json.dumps({"probes": probes})


@pytest.fixture
def endpoint() -> Iterator[StubEndpoint]:
    """A server in a thread with a loop of its own, since a command has its own too."""
    loop, ready, found = asyncio.new_event_loop(), threading.Event(), []
    stop = asyncio.Event()

    async def serve() -> None:
        async with stub_endpoint(said) as stub:
            found.append(stub)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    yield found[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


def test_a_constraint_is_drafted_by_the_tasks_judge_and_holds_from_then_on(store: Store, endpoint: StubEndpoint):
    store.tasks.register(TaskPolicy(task="support", judge=JudgePolicy(model="stub", base_url=endpoint.base_url)))

    told = run("draft", "Never give legal advice", "--task", "support")

    assert "16 probes to train on, 8 held out, written by stub" in told
    assert "only a judge can check it" in told
    assert endpoint.calls == 25
    assert len(constraint_for("never give legal advice").pairs()) == 16
    again = run("draft", "Never give legal advice", "--task", "support", "--replace", "--must-not", "sue him")
    assert "only a judge" not in again
    assert endpoint.calls == 26
    assert constraint_for("never give legal advice").checkable
