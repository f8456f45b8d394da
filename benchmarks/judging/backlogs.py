"""Backlogs to judge: made up, or taken from real conversations, in a store of their own."""

import json
import random
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path

from benchmarks.judging.spender import TASK
from continuum.policy import JudgePolicy, TaskPolicy
from continuum.records import Interaction, Message
from continuum.store.database import Store, open_store

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
THINGS = ("parcel", "invoice", "refund", "ticket", "router", "subscription", "seat", "password", "delivery", "warranty")
PLACES = ("Lisbon", "Oslo", "Graz", "Turin", "Leeds", "Ghent", "Porto", "Brno", "Malmo", "Cork")


def backlog(file: Path, count: int, *, data: Path | None, seed: int, budget_usd: float | None = None) -> tuple[Store, str]:
    """A store with so many different answered interactions and a judge's budget, all of it for annotation; and its URL."""
    url = f"sqlite:///{file}"
    store = open_store(url)
    shares = {"annotation": 1.0, "guard": 0.0, "second": 0.0, "watch": 0.0, "probes": 0.0}
    judge = JudgePolicy(budget_usd=budget_usd, shares=shares, audit_rate=0, admission="off")  # type: ignore[arg-type]
    store.tasks.register(TaskPolicy(task=TASK, judge=judge))
    store.interactions.add(interactions(count, data, seed))
    return store, url


def interactions(count: int, data: Path | None, seed: int) -> list[Interaction]:
    """So many, no two with the same words."""
    said = list(islice(cycle(real(data) or made_up(seed)), count))
    return [
        Interaction(
            id=f"{seed}-{n}",
            task=TASK,
            started_at=BEGIN + timedelta(seconds=n),
            messages=(*messages[:-1], Message(role="user", content=f"{messages[-1].text} (case {seed}-{n})")),
            response=response,
            model="production-model",
            conversation_id=f"{seed}-{n}",
        )
        for n, (messages, response) in enumerate(said)
    ]


def made_up(seed: int) -> list[tuple[tuple[Message, ...], Message]]:
    """Questions and answers of everyday support, of different lengths."""
    rng = random.Random(seed)
    made = []
    for _ in range(500):
        thing, place = rng.choice(THINGS), rng.choice(PLACES)
        question = f"My {thing} for {place} has not come up since day {rng.randrange(40)}. What can I do about it?"
        steps = " ".join(
            f"Step {n}: look at page {rng.randrange(90)} and confirm the {thing}." for n in range(rng.randrange(1, 9))
        )
        made.append(((Message(role="user", content=question),), Message(role="assistant", content=f"I am sorry. {steps}")))
    return made


def real(data: Path | None) -> list[tuple[tuple[Message, ...], Message]]:
    """The conversations in a folder's JSONL files that end in words."""
    found = []
    for file in sorted(data.glob("*.jsonl")) if data else ():
        for line in file.read_text("utf-8").splitlines():
            row = json.loads(line)
            messages = tuple(Message.model_validate(message) for message in row["messages"])
            response = Message.model_validate(row["response"])
            if messages and messages[-1].role == "user" and response.text:
                found.append((messages, response))
    return found
