from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select, text

from continuum.errors import StoreError
from continuum.records import DatasetRecord, Feedback
from continuum.serving_records import DeploymentEvent, DeploymentRecord
from continuum.store import default_store
from continuum.store.database import HEAD, Store, make_engine, open_store
from continuum.store.learning import DatasetItem
from continuum.store.raters import RaterRow
from continuum.store.tables import metadata
from tests.builders import NOON, an_interaction


def test_the_migrations_make_the_schema_that_the_code_expects(store: Store) -> None:
    with store.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)

    assert differences == []


def test_dropping_a_task_leaves_no_row_of_it_and_every_row_of_the_others(store: Store) -> None:
    for task in ("gone", "kept"):
        store.tasks.ensure(task)
        one = an_interaction(f"What of {task}?", task=task)
        store.interactions.add([one])
        rater = RaterRow(task, "u", reliability=0.5, sensitivity=1, specificity=0.5, verdicts=3, trusted=1, updated_at=NOON)
        store.raters.put([rater])
        store.feedback.add([Feedback(interaction_id=one.id, score=1)])
        record = DatasetRecord(id=task, task=task, name=task, version=1, uri="d", manifest={})
        store.datasets.add(record, [DatasetItem(interaction_id=one.id, split="train")])
        deployment = DeploymentRecord(task=task, checkpoint_id="c", model=f"{task}-v1", stable_model="production")
        store.deployments.add(deployment, DeploymentEvent(deployment_id=deployment.id, actor="test", action="deploy"))
    with store.engine.connect() as connection:
        counts = {table: connection.execute(select(func.count()).select_from(table)).scalar() for table in metadata.sorted_tables}

    store.drop_task("gone")

    assert store.tasks.names() == ["kept"]
    with store.engine.connect() as connection:
        for table, before in counts.items():
            assert connection.execute(select(func.count()).select_from(table)).scalar() == before / 2


def test_what_two_tasks_both_heard_stays_when_one_of_them_is_dropped(store: Store) -> None:
    gone, kept = an_interaction(task="gone"), an_interaction(task="kept")
    store.interactions.add([gone, kept])

    store.drop_task("gone")

    assert store.interactions.get(gone.id) is None
    assert store.interactions.get(kept.id) == kept


def test_several_processes_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'continuum.db'}"

    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: open_store(url), range(8)))

    for opened in stores:
        opened.interactions.add([an_interaction()])
    assert stores[0].interactions.count("support") == 8
    for opened in stores:
        opened.close()


def test_a_schema_from_the_future_is_refused(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    try:
        with pytest.raises(StoreError, match="'9999' is newer than this package knows; upgrade continuum-ai"):
            open_store(store.engine.url.render_as_string(hide_password=False))
    finally:
        with store.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": HEAD})


def test_a_store_that_cannot_be_opened_says_so_without_its_password() -> None:
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        open_store("postgresql://someone:hunter2@127.0.0.1:1/none")

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://bob:s3cret@127.0.0.1:abc/db",
        "postgresql://bob@127.0.0.1:1/db?password=s3cret&sslpassword=s3cret&passfile=/s3cret",
        "mysql://bob@127.0.0.1/db?password=s3cret",
    ],
)
def test_no_message_about_a_store_holds_its_password(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(url)

    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_store_shows_itself_without_its_password() -> None:
    store = Store(make_engine("postgresql+psycopg2://127.0.0.1/db?user=bob&password=s3cret"))

    assert "user=bob" in repr(store)
    assert "s3cret" not in repr(store)


@pytest.mark.parametrize("inside", ["", "deeper"])
def test_a_file_where_the_home_should_be_is_named(tmp_path: Path, inside: str) -> None:
    file = tmp_path / "home-file"
    file.touch()

    with pytest.raises(StoreError, match=r"home-file is a file, and must be a folder"):
        open_store(f"sqlite:///{file / inside / 'continuum.db'}")


def test_an_error_of_the_database_does_not_quote_what_was_being_stored(tmp_path: Path) -> None:
    opened = open_store(f"sqlite:///{tmp_path / 'continuum.db'}")
    with opened.engine.begin() as connection:
        connection.execute(text("DROP TABLE interactions"))

    with pytest.raises(StoreError, match="cannot be written") as caught:
        opened.interactions.add([an_interaction("a private question")])

    assert "private" not in str(caught.value)
    opened.close()


@pytest.mark.parametrize("url", ["mysql://host/db", "nonsense", ""])
def test_another_kind_of_database_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match=r"sqlite:///\.\.\. or postgresql://"):
        open_store(url)


def test_the_default_store_lies_in_the_home(home: Path) -> None:
    opened = default_store()

    assert (home / "continuum.db").is_file()
    assert default_store() is opened
    opened.close()
