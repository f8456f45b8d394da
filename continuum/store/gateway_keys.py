"""Keys of the gateway: who may ask it, for which tasks and how often. What is kept of a key is a hash; it is shown once."""

import hashlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, Field, SecretStr, field_validator
from sqlalchemy import Select, func, insert, select, update

from continuum.errors import ConfigurationError
from continuum.policy import checked_task_name
from continuum.records import Record
from continuum.store.rows import Rows, from_row, to_row
from continuum.store.serving_tables import gateway_keys
from continuum.timespan import utc_now

ID_BYTES = 6
SECRET_BYTES = 32
"""Of randomness in a key: as many as its hash has, so that nobody tries them out and a slow hash would add nothing."""
PREFIX = "ck-"
MAX_NAME = 100


class GatewayKey(Record):
    """What is known of a key; not the key."""

    id: str
    """Stands in the key too, so that whoever holds it can be told which one it is."""
    name: str = Field(min_length=1, max_length=MAX_NAME)
    hash: str = Field(repr=False)
    """SHA-256 of the whole key, in hex."""
    tasks: tuple[str, ...] | None = None
    """The tasks it may ask for; None for all."""
    may_override: bool = False
    """Whether it may name the arm that answers in a header."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    created_at: AwareDatetime
    revoked_at: AwareDatetime | None = None

    @field_validator("name")
    @classmethod
    def _is_one_line(cls, value: str) -> str:
        if not value.isprintable() or value != value.strip():
            raise ConfigurationError(f"the name of a key is {value!r}; it must be one printable line without space at its ends")
        return value

    @field_validator("tasks")
    @classmethod
    def _are_tasks(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not value:
            raise ConfigurationError("a key for no task opens nothing; name its tasks, or none at all for every task")
        return None if value is None else tuple(sorted({checked_task_name(name) for name in value}))


@dataclass(frozen=True)
class NewKey:
    """A key that was just made, and the only moment at which it can be read."""

    record: GatewayKey
    secret: SecretStr
    """The key itself, `ck-...`."""


@dataclass(frozen=True)
class KeysState:
    """Changes when a key is made or revoked; cheap to ask for."""

    issued: int
    revoked: int


class GatewayKeys(Rows):
    """All keys of the gateway, revoked ones too: they say that there has been one, and whose it was."""

    def create(
        self,
        name: str,
        *,
        tasks: Iterable[str] | None = None,
        may_override: bool = False,
        requests_per_minute: int | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> NewKey:
        """Make a key and store its hash.

        Args:
            name: whose it is, for people.
            tasks: names of the tasks it may ask for; None for all.
            may_override: whether it may name the arm that answers in a header.
            requests_per_minute: how often it may ask; None for no limit.
            now: the clock.

        Raises:
            ConfigurationError: the name or a task's name cannot be one, or a key in use has the name.
            ValidationError: the limit is below 1.
        """
        id_, random = secrets.token_hex(ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
        secret = f"{PREFIX}{id_}-{random}"
        record = GatewayKey(
            id=id_,
            name=name,
            hash=hashlib.sha256(secret.encode()).hexdigest(),
            tasks=None if tasks is None else tuple(tasks),
            may_override=may_override,
            requests_per_minute=requests_per_minute,
            created_at=now(),
        )
        with self.engine.execution_options(write_first=True).begin() as connection:
            taken = select(gateway_keys.c.id).where(gateway_keys.c.name == name, gateway_keys.c.revoked_at.is_(None))
            if found := connection.execute(taken).scalar():
                raise ConfigurationError(f"key {found} is named {name!r} already; choose another name, or revoke that one first")
            connection.execute(insert(gateway_keys).values(to_row(record)))
        return NewKey(record, SecretStr(secret))

    def all(self) -> list[GatewayKey]:
        """Every key there ever was, oldest first."""
        return self._found(select(gateway_keys))

    def in_use(self) -> list[GatewayKey]:
        """The keys that open the gateway, oldest first."""
        return self._found(select(gateway_keys).where(gateway_keys.c.revoked_at.is_(None)))

    def state(self) -> KeysState:
        """Whether anything changed since; one short query."""
        query = select(func.count(), func.count(gateway_keys.c.revoked_at)).select_from(gateway_keys)
        with self.engine.connect() as connection:
            issued, revoked = connection.execute(query).one()
        return KeysState(issued, revoked)

    def revoke(self, name_or_id: str, *, now: Callable[[], datetime] = utc_now) -> GatewayKey:
        """Close the gateway to a key; one that is revoked already stays so, with its time.

        Raises:
            ConfigurationError: no key has this name or id, or several keys in use have the name.
        """
        known = self.all()
        chosen = [key for key in known if key.id == name_or_id]
        if not chosen:
            named = [key for key in known if key.name == name_or_id]
            chosen = [key for key in named if key.revoked_at is None] or named[-1:]
        if not chosen:
            raise ConfigurationError(f"no key has the name or id {name_or_id!r:.120}; `continuum keys list` shows all")
        if len(chosen) > 1:
            ids = ", ".join(key.id for key in chosen)
            raise ConfigurationError(f"{len(chosen)} keys are named {name_or_id!r:.120}: {ids}; name one by its id")
        is_it = (gateway_keys.c.id == chosen[0].id) & gateway_keys.c.revoked_at.is_(None)
        with self.engine.begin() as connection:
            connection.execute(update(gateway_keys).where(is_it).values(revoked_at=now()))
        return self._found(select(gateway_keys).where(gateway_keys.c.id == chosen[0].id))[0]

    def _found(self, query: Select[Any]) -> list[GatewayKey]:
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(gateway_keys.c.created_at, gateway_keys.c.id))
            return [from_row(GatewayKey, row) for row in rows]
