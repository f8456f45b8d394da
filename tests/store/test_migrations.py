"""A store that an older package made is brought up to date with every row it holds."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, func, select, text

from continuum.records import Feedback, Interaction, Message
from continuum.store.bodies import body_of
from continuum.store.database import HEAD, Store, make_engine, open_store, upgrade_store
from continuum.store.migrating import MIGRATIONS, migrations
from continuum.store.tables import bodies, interactions
from tests.builders import NOON, an_interaction, assistant, user

CALLED = Message.model_validate(
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}}],
        "refusal": None,
        "audio": {"z": 1, "a": [1.5, "é 漢 🎬"]},
    }
)
OLD = [
    an_interaction(f"Question {n % 3}?", id=f"old-{n}", started_at=NOON + timedelta(hours=n), tags={"n": str(n)})
    for n in range(7)
] + [
    an_interaction(id="tool", messages=(user("Find it"), CALLED), response=CALLED, task="other"),
    an_interaction(id="failed", response=None, status="error", error="TimeoutError", latency_ms=1.5, cost_usd=0.25),
    an_interaction(id="parts", messages=(Message(role="user", content=[{"type": "text", "text": "Tab\tand \\ and line\n"}]),)),
    an_interaction(id="huge", messages=(Message.model_validate({"role": "user", "content": "n", "seed": 10**30}),)),
]


@pytest.fixture(params=["sqlite", "postgres"])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database as the first schema left it, with rows in it."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'old.db'}"
        _fill(make_engine(url))
        yield url
        return
    server = make_engine(request.getfixturevalue("postgres_url").replace("postgresql://", "postgresql+psycopg2://"))
    outside = server.execution_options(isolation_level="AUTOCOMMIT")
    with outside.connect() as connection:
        connection.execute(text("CREATE DATABASE old"))
    url = request.getfixturevalue("postgres_url").replace("/postgres?", "/old?")
    _fill(make_engine(url.replace("postgresql://", "postgresql+psycopg2://")))
    yield url
    with outside.connect() as connection:
        connection.execute(text("DROP DATABASE old WITH (FORCE)"))
    server.dispose()


def _fill(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for one in OLD:
            row = one.model_dump(mode="json", exclude={"cached_tokens", "reasoning_tokens", "redaction"})
            row = {name: value for name, value in row.items() if name not in {"fingerprint", "near_repeat_of"}}
            row |= {name: json.dumps(row[name]) for name in ("messages", "response", "tags")}
            # As SQLAlchemy wrote it on SQLite; Postgres reads the zone of its session, which is UTC here.
            row["started_at"] = one.started_at.strftime("%Y-%m-%d %H:%M:%S.%f") + ("+00" if engine.name == "postgresql" else "")
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO interactions ({names}) VALUES ({values})"), row)  # noqa: S608
        connection.execute(
            text(
                "INSERT INTO feedback (id, interaction_id, kind, score, confidence, recorded_at) "
                "VALUES ('f', 'old-1', 'explicit', 4, 1, '2026-03-01 12:00:00.000000')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO tasks (name, policy, created_at, trained_through, spent_micro_usd, reserved_micro_usd) "
                "VALUES ('support', '{\"task\": \"support\"}', '2026-03-01 12:00:00.000000', 4, 5, 0)"
            )
        )
    engine.dispose()


def test_every_row_of_the_first_schema_is_read_as_it_was_written(old_url: str) -> None:
    store = open_store(old_url)

    assert [*store.interactions.scan("support", status=None), *store.interactions.scan("other")] == [
        *[one for one in OLD if one.task == "support"],
        *[one for one in OLD if one.task == "other"],
    ]
    assert store.tasks.get("support").trained_through == 4
    found = store.feedback.of([OLD[1]])["old-1"]
    assert [(one.id, one.score, one.trusted) for one in found] == [("f", 4, False)]
    store.close()


def test_what_was_said_twice_is_stored_once_from_then_on(old_url: str) -> None:
    store = open_store(old_url)

    store.interactions.add([an_interaction("Question 0?", id="new")])
    with store.engine.connect() as connection:
        stored = {row.id: bytes(row.body) for row in connection.execute(select(interactions.c.id, interactions.c.body))}
        kept = connection.execute(select(func.count()).select_from(bodies)).scalar()

    assert stored == {one.id: body_of(one).hash for one in [*OLD, an_interaction("Question 0?", id="new")]}
    assert kept == len({body_of(one).hash for one in OLD}) == 7
    store.close()


def test_old_rows_arrived_when_they_began_and_new_rows_come_after_them(old_url: str) -> None:
    store = open_store(old_url)

    store.interactions.add([an_interaction("And now?", id="new")], now=lambda: NOON + timedelta(days=9))
    with store.engine.connect() as connection:
        rows = connection.execute(select(interactions).order_by(interactions.c.sequence)).all()

    assert [row.id for row in rows] == [*(one.id for one in OLD), "new"]
    assert all(row.arrived_at == row.started_at for row in rows[:-1])
    assert rows[-1].arrived_at == NOON + timedelta(days=9)
    store.close()


def test_a_number_is_never_given_twice(old_url: str) -> None:
    store = open_store(old_url)
    store.interactions.add([Interaction(task="gone", messages=(user("Bye"),), response=assistant("Bye."))])
    last = store.interactions.last_sequence("gone")

    store.drop_task("gone")
    store.interactions.add([an_interaction("Next?", task="later")])

    assert store.interactions.last_sequence("later") == last + 1
    store.close()


def test_feedback_knows_who_is_trusted(old_url: str) -> None:
    store = open_store(old_url)

    store.feedback.add([Feedback(interaction_id="old-2", score=1, trusted=True)])

    assert [one.trusted for one in store.feedback.of([OLD[2]])["old-2"]] == [True]
    store.close()


def test_an_upgrade_says_what_it_did(old_url: str, tmp_path: Path) -> None:
    assert upgrade_store(old_url) == ("0001", HEAD)
    assert upgrade_store(old_url) == (HEAD, HEAD)
    assert upgrade_store(f"sqlite:///{tmp_path / 'new.db'}") == (None, HEAD)


def test_the_newest_migration_is_the_one_that_the_code_knows_by_name() -> None:
    assert migrations().get_current_head() == HEAD


def test_opening_a_store_that_is_up_to_date_loads_no_alembic(store: Store) -> None:
    opening = f"from continuum.store.database import open_store; open_store({str(store.engine.url)!r})"
    program = f"import sys; {opening}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert "sqlalchemy" in loaded
    assert "alembic" not in loaded
