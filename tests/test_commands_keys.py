"""`continuum keys`: a key is printed once, alone; the list never holds one."""

import json

import pytest
from typer.testing import CliRunner

from continuum.cli import app
from continuum.errors import ConfigurationError
from continuum.policy import TaskPolicy
from continuum.store.database import Store

pytestmark = pytest.mark.usefixtures("wide")


def ran(*words: str) -> tuple[str, str]:
    """What the command prints, and what it says beside that."""
    found = CliRunner().invoke(app, ["keys", *words])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.stdout, found.stderr


def test_a_new_key_is_all_that_is_printed_so_that_a_script_can_take_it(store: Store) -> None:
    store.tasks.register(TaskPolicy(task="support"))

    printed, said = ran("create", "web-app", "--task", "support", "--per-minute", "60", "--override")

    (key,) = store.gateway_keys.all()
    assert printed.startswith(f"ck-{key.id}-")
    assert printed.count("\n") == 1
    assert printed.strip() not in said
    assert (key.tasks, key.requests_per_minute, key.may_override) == (("support",), 60, True)
    assert "from now on every request to the gateway needs a key" in said
    assert "warning" not in said


def test_a_task_that_is_not_registered_is_asked_about(store: Store) -> None:
    _, said = ran("create", "web-app", "--task", "suport")

    assert "not registered yet, is the name right? suport" in said


def test_the_list_shows_who_may_do_what_and_no_key(store: Store) -> None:
    new = store.gateway_keys.create("web-app", tasks=["support", "billing"], requests_per_minute=60)
    store.gateway_keys.create("old [red]one[/red]")
    store.gateway_keys.revoke("old [red]one[/red]")

    shown, _ = ran("list")
    listed, _ = ran("list", "--json")

    assert "billing, support" in shown
    assert "old [red]one[/red]" in shown
    assert [one["name"] for one in json.loads(listed)] == ["web-app", "old [red]one[/red]"]
    for secret in (new.secret.get_secret_value(), new.record.hash):
        assert secret not in shown + listed


def test_without_a_key_the_list_says_what_that_means(store: Store) -> None:
    assert "no keys: the gateway asks for none, as long as it listens on loopback" in ran("list")[0]


def test_who_revokes_the_last_key_is_told_that_the_gateway_is_closed(store: Store) -> None:
    store.gateway_keys.create("web-app")
    store.gateway_keys.create("ops")

    first, said_first = ran("revoke", "web-app")
    _, said_last = ran("revoke", "ops")

    assert "of web-app is revoked" in first
    assert said_first == ""
    assert "no key is left, and the gateway refuses every request" in said_last


def test_a_key_is_not_asked_for_to_revoke_it(store: Store) -> None:
    secret = store.gateway_keys.create("web-app").secret.get_secret_value()

    with pytest.raises(ConfigurationError, match="name it by its name or id") as refused:
        ran("revoke", secret)

    assert secret not in str(refused.value)
    assert len(store.gateway_keys.in_use()) == 1


@pytest.mark.parametrize("limit", ["0", "1000000001", "99999999999999999999"])
def test_a_limit_that_no_database_holds_is_refused(store: Store, limit: str) -> None:
    found = CliRunner().invoke(app, ["keys", "create", "web-app", "--per-minute", limit])

    assert found.exit_code == 2
    assert "--per-minute" in found.stderr
    assert store.gateway_keys.all() == []
