"""Who may ask the gateway: without a store in the path of a request, and with the last known keys when it is down."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from continuum.deployment.gateway.keys import FILE, Allowed, Keys, Refused
from continuum.store.database import Store, open_store
from continuum.store.gateway_keys import NewKey


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "gateway"


@pytest.fixture
def keys(store: Store, folder: Path) -> Keys:
    return Keys(store, folder)


@pytest.fixture
def broken(tmp_path: Path) -> Store:
    """A store whose database is gone."""
    opened = open_store(f"sqlite:///{tmp_path / 'gone.db'}")
    opened.close()
    (tmp_path / "gone.db").write_bytes(b"this is no database, and long enough that nobody takes it for an empty one" * 99)
    with pytest.raises(Exception, match="not a database"):
        opened.gateway_keys.state()
    return opened


def bearer(key: NewKey) -> str:
    return f"Bearer {key.secret.get_secret_value()}"


def reason(found: Allowed | Refused) -> str | None:
    return found.reason if isinstance(found, Refused) else None


def test_before_the_first_key_nobody_is_asked_for_one(keys: Keys) -> None:
    keys.refresh()

    assert keys.check(None, "support") == Allowed(None, False)
    assert not keys.asked_for


def test_from_the_first_key_on_everybody_is(store: Store, keys: Keys) -> None:
    new = store.gateway_keys.create("web-app")
    keys.refresh()

    assert keys.check(bearer(new), "support") == Allowed(new.record.id, False)
    assert reason(keys.check(None, "support")) == "no_key"
    assert keys.asked_for


def test_where_others_reach_the_gateway_nobody_is_let_in_before_there_is_a_key(store: Store, folder: Path) -> None:
    keys = Keys(store, folder, required=True)
    keys.refresh()

    assert reason(keys.check(None, "support")) == "no_key"
    assert reason(keys.check("Bearer sk-anything", "support")) == "wrong_key"
    assert keys.usable == 0


def test_who_says_so_is_asked_for_no_key_at_all(store: Store, folder: Path) -> None:
    store.gateway_keys.create("web-app")
    keys = Keys(store, folder, required=False)
    keys.refresh()

    assert keys.check(None, "support") == Allowed(None, False)


def test_revoking_the_last_key_closes_the_gateway(store: Store, keys: Keys) -> None:
    new = store.gateway_keys.create("web-app")
    keys.refresh()
    store.gateway_keys.revoke("web-app")
    keys.refresh()

    assert reason(keys.check(bearer(new), "support")) == "wrong_key"
    assert reason(keys.check(None, "support")) == "no_key"


def test_a_key_opens_its_own_tasks_and_what_concerns_none(store: Store, keys: Keys) -> None:
    new = store.gateway_keys.create("web-app", tasks=["support"], may_override=True)
    keys.refresh()

    assert keys.check(bearer(new), "support") == Allowed(new.record.id, True)
    assert keys.check(bearer(new), None) == Allowed(new.record.id, True)
    refused = keys.check(bearer(new), "billing")
    assert isinstance(refused, Refused)
    assert (refused.status, refused.reason) == (403, "wrong_task")


@pytest.mark.parametrize(
    "forged",
    [
        "Bearer",
        "Bearer ",
        "Basic {key}",
        "{key}",
        "Bearer {key}x",
        "Bearer {short}",
        "Bearer {id}",
        "Bearer {id}-" + 43 * "A",
        "Bearer ck-000000000000-" + 43 * "A",
        "Bearer " + 300 * "A",
        "Bearer {key}\x00",
        "Bearer \udcff\udcfe",
        "Bearer ключ",
    ],
)
def test_what_is_not_quite_a_key_opens_nothing(store: Store, keys: Keys, forged: str) -> None:
    key = store.gateway_keys.create("web-app").secret.get_secret_value()
    keys.refresh()

    refused = keys.check(forged.format(key=key, short=key[:-1], id=key[:15]), "support")

    assert isinstance(refused, Refused)
    assert (refused.status, refused.reason) == (401, "wrong_key")
    assert key[16:] not in refused.words


def test_the_scheme_is_read_in_any_case(store: Store, keys: Keys) -> None:
    key = store.gateway_keys.create("web-app").secret.get_secret_value()
    keys.refresh()

    assert isinstance(keys.check(f"bEARER   {key} ", "support"), Allowed)


# --- how often -------------------------------------------------------------------------------------------------------


def test_a_limit_is_kept_and_says_when_to_come_again(store: Store, folder: Path) -> None:
    new, clock = store.gateway_keys.create("web-app", requests_per_minute=6), Clock()
    keys = Keys(store, folder, clock=clock)
    keys.refresh()

    first = [reason(keys.check(bearer(new), "support")) for _ in range(8)]
    refused = keys.check(bearer(new), "support")
    clock.seconds += 10
    later = [reason(keys.check(bearer(new), "support")) for _ in range(2)]

    assert first == [None] * 6 + ["too_many"] * 2
    assert isinstance(refused, Refused)
    assert refused.status == 429
    assert refused.headers == {"retry-after": "10"}
    assert later == [None, "too_many"]


def test_a_key_that_is_read_again_has_no_more_than_it_had_left(store: Store, folder: Path) -> None:
    new, clock = store.gateway_keys.create("web-app", requests_per_minute=2), Clock()
    keys = Keys(store, folder, clock=clock)
    keys.refresh()
    for _ in range(2):
        keys.check(bearer(new), "support")

    store.gateway_keys.create("another")
    keys.refresh()

    assert reason(keys.check(bearer(new), "support")) == "too_many"


def test_a_task_that_a_key_may_not_ask_for_takes_nothing_from_its_limit(store: Store, keys: Keys) -> None:
    new = store.gateway_keys.create("web-app", tasks=["support"], requests_per_minute=1)
    keys.refresh()

    assert reason(keys.check(bearer(new), "billing")) == "wrong_task"
    assert reason(keys.check(bearer(new), "support")) is None


def test_several_workers_share_a_limit(store: Store, folder: Path) -> None:
    new, clock = store.gateway_keys.create("web-app", requests_per_minute=20), Clock()
    workers = [Keys(store, folder, workers=4, clock=clock) for _ in range(4)]
    for worker in workers:
        worker.refresh()

    let_in = [reason(worker.check(bearer(new), "support")) for worker in workers for _ in range(20)].count(None)

    assert let_in == 20


def test_workers_that_count_together_let_one_of_them_have_all_of_a_limit(store: Store, folder: Path) -> None:
    new, clock = store.gateway_keys.create("web-app", requests_per_minute=20), Clock()
    workers = [Keys(store, folder, workers=4, shared=folder / "limits", clock=clock) for _ in range(4)]
    for worker in workers:
        worker.refresh()

    alone = [reason(workers[0].check(bearer(new), "support")) for _ in range(25)]

    assert alone == [None] * 20 + ["too_many"] * 5
    assert [reason(worker.check(bearer(new), "support")) for worker in workers] == ["too_many"] * 4
    clock.seconds += 6
    assert [reason(worker.check(bearer(new), "support")) for worker in workers] == [None, None, "too_many", "too_many"]
    for worker in workers:
        worker.close()


def test_workers_that_cannot_count_together_share_a_limit_out(
    store: Store, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    new = store.gateway_keys.create("web-app", requests_per_minute=20)
    folder.mkdir(parents=True)
    (folder / "limits").mkdir()
    keys = Keys(store, folder, workers=4, shared=folder / "limits", clock=Clock())
    keys.refresh()

    assert [reason(keys.check(bearer(new), "support")) for _ in range(6)] == [None] * 5 + ["too_many"]
    assert "each allows its part of a key's limit" in caplog.text


# --- without the store -----------------------------------------------------------------------------------------------


def test_a_gateway_that_starts_without_the_store_knows_the_last_keys(store: Store, broken: Store, folder: Path) -> None:
    new = store.gateway_keys.create("web-app", tasks=["support"], may_override=True)
    Keys(store, folder).refresh()

    started = Keys(broken, folder)
    started.refresh()

    assert started.check(bearer(new), "support") == Allowed(new.record.id, True)
    assert reason(started.check(bearer(new), "billing")) == "wrong_task"
    assert reason(started.check(None, "support")) == "no_key"
    assert started.store_error is not None


@pytest.mark.parametrize("restarted", [False, True])
def test_another_store_that_knows_of_no_key_lets_nobody_in(
    store: Store, keys: Keys, folder: Path, tmp_path: Path, restarted: bool
) -> None:
    key = store.gateway_keys.create("shop")
    keys.refresh()
    empty = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    after = Keys(empty, folder) if restarted else keys
    after._store = empty  # as where its file was replaced

    after.refresh()

    assert after.store_error == "StoreError"
    assert reason(after.check(None, "support")) == "no_key"
    assert isinstance(after.check(bearer(key), "support"), Allowed)
    after._store = store
    after.refresh()
    assert after.store_error is None
    empty.close()


def test_what_lies_on_disk_is_for_this_user_alone_and_holds_no_key(store: Store, keys: Keys, folder: Path) -> None:
    secret = store.gateway_keys.create("web-app").secret.get_secret_value()
    keys.refresh()

    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
    assert secret[16:] not in (folder / FILE).read_text()
    assert [file.name for file in folder.iterdir()] == [FILE]


def test_a_revoked_key_is_gone_from_disk_too(store: Store, broken: Store, keys: Keys, folder: Path) -> None:
    new = store.gateway_keys.create("web-app")
    keys.refresh()
    store.gateway_keys.revoke("web-app")
    keys.refresh()

    started = Keys(broken, folder)
    started.refresh()

    assert reason(started.check(bearer(new), "support")) == "wrong_key"


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-9],
        lambda content: content.replace("false", "true"),
        lambda content: "",
        lambda content: "[]",
        lambda content: json.dumps({"known": None, "sha256": "0"}),
        lambda content: "\ud800".encode("utf-8", "surrogatepass"),
    ],
)
def test_damaged_keys_let_nobody_in(
    store: Store, broken: Store, keys: Keys, folder: Path, damage: Callable[[str], str | bytes]
) -> None:
    new = store.gateway_keys.create("web-app")
    keys.refresh()
    damaged = damage((folder / FILE).read_text())
    (folder / FILE).write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())

    started = Keys(broken, folder)
    started.refresh()

    refused = started.check(bearer(new), "support")
    assert isinstance(refused, Refused)
    assert (refused.status, refused.reason) == (503, "unknown")


def test_a_gateway_that_never_saw_a_key_or_a_store_serves_loopback_and_nobody_else(broken: Store, folder: Path) -> None:
    here, beyond = Keys(broken, folder), Keys(broken, folder, required=True)
    here.refresh()
    beyond.refresh()

    assert isinstance(here.check(None, "support"), Allowed)
    assert reason(beyond.check("Bearer x", "support")) == "wrong_key"


def test_before_the_first_look_nobody_is_let_in(keys: Keys) -> None:
    assert reason(keys.check(None, "support")) == "unknown"


def test_a_store_that_goes_away_changes_nothing_and_its_return_is_noticed(
    store: Store, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = store.gateway_keys.create("web-app")
    keys.refresh()

    def fails() -> None:
        raise OperationalError("SELECT", {}, ConnectionError("down"))

    with monkeypatch.context() as down:
        down.setattr(store.gateway_keys, "state", fails)
        keys.refresh()
        assert isinstance(keys.check(bearer(new), "support"), Allowed)
        assert keys.store_error == "OperationalError"
    store.gateway_keys.revoke("web-app")
    keys.refresh()

    assert keys.store_error is None
    assert reason(keys.check(bearer(new), "support")) == "wrong_key"


def test_a_folder_that_cannot_be_written_is_told_and_stops_nothing(
    store: Store, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file where the folder should be")
    new, keys = store.gateway_keys.create("web-app"), Keys(store, folder)
    keys.refresh()

    assert isinstance(keys.check(bearer(new), "support"), Allowed)
    assert "a start without the store will not know them" in caplog.text
    assert new.secret.get_secret_value() not in caplog.text
