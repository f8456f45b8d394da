"""Who may ask the gateway: decided in memory, by keys of which only hashes are known.

A gateway reads the keys again within a second of a change, off the path of requests, and keeps the last known ones on disk: with
the store down it starts with those. One that has never seen a store knows of no key; what it then does is `required`'s to say.
"""

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from continuum.deployment.gateway.buckets import Bucket, SharedBucket, SharedBuckets
from continuum.deployment.gateway.last_known import read_known, write_known
from continuum.errors import StoreError
from continuum.records import Record
from continuum.store.gateway_keys import ID_BYTES, PREFIX, GatewayKey, KeysState

if TYPE_CHECKING:
    from continuum.store.database import Store

FILE = "keys.json"
MAX_HEADER = 200
"""Characters of an authorization header; a longer one holds no key of ours."""
SCHEME = "bearer "
ID_AT = slice(len(PREFIX), len(PREFIX) + 2 * ID_BYTES)
"""Where in a key its id stands."""
NO_HASH = bytes(32)
UNKNOWN_RETRY_S = 5

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Allowed:
    """The request may go on."""

    key_id: str | None
    """None where the gateway asks for no key."""
    may_override: bool
    """Whether the request may name the arm that answers it."""


@dataclass(frozen=True)
class Refused:
    """The request is answered with this, and goes no further."""

    status: int
    reason: str
    """One of a few words, to count by: `no_key`, `wrong_key`, `wrong_task`, `too_many`, `unknown`, `strangers_name`."""
    words: str
    headers: Mapping[str, str]


NO_KEY = Refused(
    401,
    "no_key",
    "the gateway asks for a key: send it as `Authorization: Bearer ck-...`; `continuum keys create NAME` makes one",
    {"www-authenticate": "Bearer"},
)
WRONG_KEY = Refused(
    401,
    "wrong_key",
    "the gateway does not know this key, or it was revoked; `continuum keys create NAME` makes one",
    {"www-authenticate": 'Bearer error="invalid_token"'},
)
WRONG_TASK = Refused(403, "wrong_task", "this key is not for the task that the request names; ask with a key that is", {})
UNKNOWN = Refused(
    503,
    "unknown",
    "the gateway cannot tell who may ask it: the store does not answer, and what was known of the keys is damaged",
    {"retry-after": str(UNKNOWN_RETRY_S)},
)
STRANGERS_NAME = Refused(
    403,
    "strangers_name",
    "the gateway asks for no key, and is then asked by this machine's own names only, for a page from elsewhere may have a name "
    "of its own point here; ask 127.0.0.1 or localhost, or make a key with `continuum keys create NAME`",
    {},
)
ANYBODY = Allowed(None, False)


@dataclass(frozen=True, slots=True)
class _Entry:
    hash: bytes
    allowed: Allowed
    tasks: frozenset[str] | None
    bucket: Bucket | SharedBucket | None


class KnownKeys(Record):
    """What a gateway knows of the keys, as it lies on disk."""

    issued: int = Field(ge=0)
    """How many there have been, revoked ones counted."""
    revoked: int = Field(ge=0)
    in_use: tuple[GatewayKey, ...]


class Keys:
    """The keys as one worker of a gateway knows them.

    Keys are asked for as soon as one was ever made: revoking the last one closes the gateway, it does not open it.

    Args:
        store: where they are.
        folder: where the last known ones are kept.
        required: True asks for a key even where none was made, so that everybody is refused: right wherever others than this
            machine's users reach the gateway. False never asks. None asks once there is one.
        workers: how many workers share a key's limit.
        shared: the file in which they count together; where there is none, or no room in it, each allows its part of a limit.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        store: "Store",
        folder: Path,
        *,
        required: bool | None = None,
        workers: int = 1,
        shared: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store_error: str | None = None
        """Why the store gave no keys when it was last asked; None where it did."""
        self._store = store
        self._file = folder / FILE
        self._required = required
        self._workers = workers
        self._clock = clock
        self._state: KeysState | None = None
        self._entries: dict[str, _Entry] = {}
        self._buckets: dict[str, tuple[int, Bucket]] = {}
        self._shared = None if shared is None else _shared(shared, clock)
        self._instead: Allowed | Refused | None = ANYBODY if required is False else UNKNOWN
        """What is said to everybody, whatever they bring; None where keys are compared."""
        self._nobody = _Entry(NO_HASH, ANYBODY, None, None)

    @property
    def asked_for(self) -> bool:
        """Whether a request needs a key."""
        return self._instead is not ANYBODY

    @property
    def usable(self) -> int:
        """How many keys open the gateway."""
        return len(self._entries)

    def check(self, authorization: str | None, task: str | None) -> Allowed | Refused:
        """Whether a request may go on; reads memory only.

        Args:
            authorization: the request's header of this name.
            task: the task it names; None where it concerns none, so that any key will do.
        """
        if self._instead is not None:
            return self._instead
        if not authorization:
            return NO_KEY
        if len(authorization) > MAX_HEADER or authorization[: len(SCHEME)].lower() != SCHEME:
            return WRONG_KEY
        key = authorization[len(SCHEME) :].strip()
        entry = self._entries.get(key[ID_AT], self._nobody)
        # An id that nobody has is compared too, with a hash that no key has.
        if not hmac.compare_digest(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest(), entry.hash):
            return WRONG_KEY
        if task is not None and entry.tasks is not None and task not in entry.tasks:
            return WRONG_TASK
        if entry.bucket is not None and (wait := entry.bucket.take()):
            return _too_many(wait)
        return entry.allowed

    def close(self) -> None:
        """Let go of what the workers share; nothing is checked after this."""
        if self._shared is not None:
            self._shared.close()

    def refresh(self) -> None:
        """Read the keys again if one was made or revoked; the last known ones stay where the store does not answer.

        Blocks on the store: for a thread beside the event loop, at least once a second.
        """
        if self._required is False:
            return
        try:
            state = self._store.gateway_keys.state()
            if state.issued < (least := self._issued_before()):
                # Keys are revoked and never deleted: this is another store, and who had no key there must not get in.
                raise StoreError(
                    f"the store knows {state.issued} keys and {least} were made; it is another one, or an old copy: bring "
                    f"the right one back, or remove {self._file} and start the gateway again"
                )
            known = None
            if state != self._state:
                known = KnownKeys(issued=state.issued, revoked=state.revoked, in_use=tuple(self._store.gateway_keys.in_use()))
        except Exception as error:  # noqa: BLE001  whatever ails the store, the last known keys go on opening
            if self.store_error is None:
                told = str(error) if isinstance(error, StoreError) else type(error).__name__
                logger.warning("the keys cannot be read, the last known ones stay: %s", told)
                if self._state is None:
                    self._take_from_disk()
            self.store_error = type(error).__name__
            return
        self.store_error = None
        if known is not None:
            self._take(known)
            self._state = state
            self._keep(known)

    def unanswered(self) -> None:
        """The store has not answered for long: the last known keys go on opening."""
        if self._required is False or self.store_error is not None:
            return
        if self._state is None:
            self._take_from_disk()
        self.store_error = "no answer"

    def _issued_before(self) -> int:
        """How many keys were ever made, as far as this gateway, or one before it in this home, has known."""
        if self._state is not None:
            return self._state.issued
        try:
            known = read_known(self._file, KnownKeys)
        except ValueError:
            return 0
        return 0 if known is None else known.issued

    def _take(self, known: KnownKeys) -> None:
        self._entries = {key.id: self._entry(key) for key in known.in_use}
        self._buckets = {id_: found for id_, found in self._buckets.items() if id_ in self._entries}
        self._instead = None if self._required or known.issued else ANYBODY

    def _entry(self, key: GatewayKey) -> _Entry:
        bucket = None
        if key.requests_per_minute is not None and self._shared is not None:
            bucket = self._shared.bucket(key.id, key.requests_per_minute)
        if key.requests_per_minute is not None and bucket is None:
            # A key that was read again goes on with what it had left.
            limit, bucket = self._buckets.get(key.id) or (0, None)
            if bucket is None or limit != key.requests_per_minute:
                bucket = Bucket(key.requests_per_minute / self._workers, self._clock)
            self._buckets[key.id] = (key.requests_per_minute, bucket)
        tasks = None if key.tasks is None else frozenset(key.tasks)
        return _Entry(bytes.fromhex(key.hash), Allowed(key.id, key.may_override), tasks, bucket)

    def _take_from_disk(self) -> None:
        try:
            known = read_known(self._file, KnownKeys)
        except ValueError as error:
            logger.error("the last known keys at %s cannot be used, so nobody is let in: %s", self._file, error)
            self._instead = UNKNOWN
            return
        # Without a file no gateway of this home has ever known of a key.
        self._take(known or KnownKeys(issued=0, revoked=0, in_use=()))

    def _keep(self, known: KnownKeys) -> None:
        try:
            write_known(self._file, known)
        except OSError as error:
            logger.warning("the keys cannot be kept at %s, a start without the store will not know them: %s", self._file, error)


def _shared(file: Path, clock: Callable[[], float]) -> SharedBuckets | None:
    try:
        return SharedBuckets(file, clock)
    except OSError as error:
        logger.warning("the workers cannot count together in %s, each allows its part of a key's limit: %s", file, error)
        return None


def _too_many(wait_s: float) -> Refused:
    return Refused(
        429,
        "too_many",
        f"this key has asked as often as it may; ask again in {wait_s:.1f} s",
        {"retry-after": str(max(1, round(wait_s + 0.5)))},
    )
