"""The databases of Dagster and MLflow where these lie on a server: reached by the addresses that the environment names.

What no address is known of is out of reach; a dry run and the receipt name it, and say which address would have it reached.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from continuum.config import Settings, postgres_driver
from continuum.erasing.words import Taking

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

DAGSTER, MLFLOW = "DAGSTER_POSTGRES_URL", "MLFLOW_BACKEND_STORE_URI"
PAGE = 500
CONNECTING_S = 10


def addresses(settings: Settings, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The databases on servers that the environment names: whose it is to its address, which may hold a password."""
    mlflow = environment.get(MLFLOW) or settings.mlflow_tracking_uri
    found = {"Dagster": environment.get(DAGSTER, ""), "MLflow": mlflow}
    return {whose: url for whose, given in found.items() if (url := postgres_driver(given)).startswith("postgresql")}


def without_address(settings: Settings, environment: Mapping[str, str] = os.environ) -> list[str]:
    """The databases on servers of which no address is known, with how to have them reached; in words.

    Once an erasure is done nobody knows any more what it was about, so the address must be known before.
    """
    known, lines = addresses(settings, environment), []
    parts = urlsplit(settings.mlflow_tracking_uri)
    if "MLflow" not in known and parts.netloc and parts.scheme != "file":
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        lines.append(
            f"the database behind MLflow at {shown}: the runs of deleted models went, what others quote stays; before "
            f"forgetting, set {MLFLOW} to that database, if it is Postgres"
        )
    named = Path(environment.get("DAGSTER_HOME") or settings.home / "dagster") / "dagster.yaml"
    if "Dagster" not in known and _stores_elsewhere(named):
        lines.append(
            f"Dagster's database, which {named} puts on a server: what its events quote stays; before forgetting, set "
            f"{DAGSTER} to that database, if it is Postgres"
        )
    return lines


def _stores_elsewhere(path: Path) -> bool:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return any(line.strip() in ("postgres:", "mysql:") for line in lines)


def take_out_of_servers(settings: Settings, taking: Taking, environment: Mapping[str, str] = os.environ) -> tuple[int, list[str]]:
    """Take words and ids out of these databases; may be repeated at any time.

    Returns:
        How many rows changed, and what could not be reached or changed, in words.
    """
    from sqlalchemy import create_engine  # starts here
    from sqlalchemy.exc import SQLAlchemyError

    changed, troubles = 0, []
    for whose, url in addresses(settings, environment).items():
        try:
            engine = create_engine(url, connect_args={"connect_timeout": CONNECTING_S})
            try:
                changed += take_out_of_server(engine, taking)
            finally:
                engine.dispose()
        except (SQLAlchemyError, ImportError) as error:
            troubles.append(f"{whose}'s database on its server: {type(error).__name__}; see that it answers, and forget again")
    return changed, troubles


def take_out_of_server(engine: "Engine", taking: Taking) -> int:
    """Take words and ids out of every text of a database; how many rows changed.

    Each page of rows is a transaction. The tables that changed are vacuumed.

    Raises:
        SQLAlchemyError: the database failed.
    """
    from sqlalchemy import MetaData, text

    tables, changed = MetaData(), dict[str, int]()
    tables.reflect(engine)
    for table in tables.sorted_tables:
        if columns := _texts_of(table):
            changed[table.name] = _take_out_of_table(engine, table, columns, taking)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name in sorted(name for name, rows in changed.items() if rows):
            connection.execute(text(f"VACUUM {engine.dialect.identifier_preparer.quote(name)}"))
    return sum(changed.values())


def _texts_of(table: "Table") -> list[str]:
    """The columns of a table that hold text or JSON; none of one whose rows cannot be named."""
    from sqlalchemy import JSON, String

    return [column.name for column in table.c if isinstance(column.type, String | JSON)] if table.primary_key.columns else []


def _take_out_of_table(engine: "Engine", table: "Table", columns: list[str], taking: Taking) -> int:
    changed = 0
    for keys in _pages(engine, table):
        with engine.begin() as connection:
            changed += sum(_take_out_of_row(connection, table, columns, key, taking) for key in keys)
    return changed


def _pages(engine: "Engine", table: "Table") -> Iterator[list[Any]]:
    from sqlalchemy import select

    with engine.connect() as connection:
        keys = connection.execute(select(*table.primary_key.columns)).all()
    return ([*keys[start : start + PAGE]] for start in range(0, len(keys), PAGE))


def _take_out_of_row(connection: "Connection", table: "Table", columns: list[str], key: Any, taking: Taking) -> bool:
    from sqlalchemy import and_, delete, select, update
    from sqlalchemy.exc import IntegrityError

    same = and_(*(column == value for column, value in zip(table.primary_key.columns, key, strict=True)))
    row = connection.execute(select(*(table.c[name] for name in columns)).where(same)).mappings().first()
    if row is None:
        return False
    held = {name: value for name, value in row.items() if value is not None}
    left = {name: made for name, value in held.items() if (made := _left_of(value, taking)) != value}
    if not left:
        return False
    try:
        with connection.begin_nested():
            connection.execute(update(table).where(same).values(left))
    except IntegrityError:
        # Two rows that differed in what is erased alone, where each must be another: one of them stays.
        connection.execute(delete(table).where(same))
    return True


def _left_of(value: Any, taking: Taking) -> Any:
    return taking.out_of_text(value) if isinstance(value, str) else taking.out_of(value)
