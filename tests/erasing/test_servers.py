"""Databases of Dagster and MLflow on a server: what their addresses are known of is reached, of the rest the receipt says how."""

from pathlib import Path

import pytest
from sqlalchemy import JSON, Column, MetaData, String, Table, create_engine, insert, select, text

from continuum.config import load_settings
from continuum.erasing.finding import Request
from continuum.erasing.servers import addresses, take_out_of_server, without_address
from continuum.erasing.words import Runs, Taking
from continuum.erasure import forget, preview
from continuum.store.database import Store
from tests.builders import an_interaction

SAID = "my neighbour Theodora keeps seven grey geese"


async def test_what_dagsters_database_on_a_server_quotes_goes_with_the_rest(
    store: Store, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", postgres_url)
    server = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg2://"))
    events = Table("event_logs", tables := MetaData(), Column("id", String, primary_key=True), Column("event", JSON))
    tags = Table("tags", tables, Column("key", String, primary_key=True), Column("value", String, primary_key=True))
    tables.create_all(server)
    with server.begin() as connection:
        metadata = {"worst": SAID, "about": "call-117", "n": 5}
        connection.execute(insert(events), [{"id": "1", "event": metadata}, {"id": "2", "event": {"n": 6}}])
        connection.execute(insert(tags), [{"key": "q", "value": SAID}, {"key": "q", "value": f"{SAID}!"}])
    store.tasks.ensure("support")
    store.interactions.add([an_interaction(SAID, id="call-117", user_id="jane")])

    receipt = await forget(Request(user="jane"), store=store)

    with server.connect() as connection:
        left = list(connection.execute(select(events.c.event).order_by(events.c.id)).scalars())
        values = list(connection.execute(select(tags.c.value)).scalars())
    server.dispose()
    assert receipt.troubles == ()
    assert receipt.done["elsewhere"]["rows of databases on servers"] == 3
    assert left[0] | {"about": ""} == {"worst": "[erased]", "about": "", "n": 5}
    assert left[0]["about"].startswith("erased-")
    assert left[1] == {"n": 6}
    assert values == ["[erased]"]
    assert not any("Dagster's database" in place for place in receipt.out_of_reach)


async def test_a_server_that_does_not_answer_is_told_without_its_password_and_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "postgresql://mlflow:hunter2@127.0.0.1:9/mlflow")

    first = await forget(Request(user="jane"), store=store)
    monkeypatch.delenv("MLFLOW_BACKEND_STORE_URI")
    second = await forget(Request(user="jane"), store=store)

    assert ["MLflow's database" in one for one in first.troubles] == [True]
    assert "hunter2" not in first.model_dump_json()
    assert (second.erasure_id, second.troubles) == (first.erasure_id, ())


async def test_where_no_address_is_known_a_dry_run_and_the_receipt_say_how_it_would_be_reached(
    store: Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:hunter2@mlflow:5000")
    (home / "dagster").mkdir(parents=True)
    (home / "dagster" / "dagster.yaml").write_text("storage:\n  postgres:\n    postgres_url: {env: ELSEWHERE}\n")

    before = preview(Request(user="jane"), store=store)
    receipt = await forget(Request(user="jane"), store=store)
    told = "\n".join(receipt.out_of_reach)

    assert set(before.out_of_reach) < set(receipt.out_of_reach)
    assert "MLflow at http://mlflow:5000" in told
    assert "MLFLOW_BACKEND_STORE_URI" in told
    assert "DAGSTER_POSTGRES_URL" in told
    assert "hunter2" not in told


def test_databases_that_are_files_of_this_machine_are_no_servers(home: Path) -> None:
    assert addresses(load_settings(), {}) == {}
    assert without_address(load_settings(), {}) == []


def test_a_database_of_which_nothing_is_taken_stays_as_it_is(postgres_url: str) -> None:
    server = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg2://"))
    with server.begin() as connection:
        connection.execute(text("CREATE TABLE keyless (said TEXT)"))
        connection.execute(text("CREATE TABLE others (id INT PRIMARY KEY, said TEXT)"))
        connection.execute(text("INSERT INTO others VALUES (1, 'something else')"))

    changed = take_out_of_server(server, Taking({"call-117": "erased-x"}, Runs("key")))

    with server.connect() as connection:
        held = connection.execute(text("SELECT said FROM others")).scalar_one()
    server.dispose()
    assert (changed, held) == (0, "something else")
