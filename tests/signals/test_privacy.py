from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from continuum.errors import ConfigurationError
from continuum.signals.current import context
from continuum.signals.decorator import capture
from continuum.signals.stats import capture_stats
from continuum.spool.spool import default_spool
from continuum.spool.users import hashed_user, user_key
from tests.signals.conftest import Kept

MAIL = "bob@example.com"


@pytest.fixture
def out_of_order(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A store that takes nothing, so that captures stay where they are written first."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("CONTINUUM_DATABASE_URL", f"sqlite:///{tmp_path / 'file' / 'continuum.db'}")
    yield
    monkeypatch.delenv("CONTINUUM_DATABASE_URL")


def on_disk(home: Path) -> bytes:
    """All that lies in the spool."""
    return b"".join(path.read_bytes() for path in (home / "spool").rglob("*") if path.is_file())


def say(**settings: Any) -> None:
    """A captured call with a mail address in everything that is kept of it."""

    def handle(text: str, note: str) -> str:
        raise ValueError(f"no such user {MAIL}")

    with context(user_id=MAIL), pytest.raises(ValueError, match="no such user"):
        capture(handle, task="support", **settings)(f"mail me at {MAIL}", f"from {MAIL}")
    capture(lambda messages: {"role": "assistant", "content": f"to {MAIL}"}, task="support", **settings)(
        [{"role": "user", "content": [{"type": "text", "text": MAIL}]}]
    )


def test_inline_redaction_lets_no_plaintext_touch_the_disk(out_of_order: None, home: Path) -> None:
    say(redact="inline")

    written = on_disk(home)
    assert b"[EMAIL]" in written
    assert MAIL.encode() not in written


def test_redaction_in_the_drainer_keeps_plaintext_out_of_the_store(kept: Kept) -> None:
    say(redact="drain")

    failed, answered = kept.all()
    assert failed.messages[0].text == "mail me at [EMAIL]"
    assert (failed.error, failed.tags) == ("ValueError: no such user [EMAIL]", {"note": "from [EMAIL]"})
    assert failed.user_id == hashed_user(MAIL, user_key())
    assert answered.response is not None
    assert (answered.messages[0].text, answered.response.text) == ("[EMAIL]", "to [EMAIL]")
    assert {one.redaction for one in (failed, answered)} == {"builtin-1"}


def test_both_ways_leave_the_same_interaction(kept: Kept) -> None:
    for when in ("inline", "drain"):
        say(redact=when)

    one, two, three, four = kept.all()
    changing = {"id", "started_at", "latency_ms", "near_repeat_of"}
    assert one.model_dump(exclude=changing) == three.model_dump(exclude=changing)
    assert two.model_dump(exclude=changing) == four.model_dump(exclude=changing)


def test_off_keeps_what_was_said_and_hashes_the_user_all_the_same(kept: Kept) -> None:
    say(redact="off")

    found = kept.all()[0]
    assert (found.messages[0].text, found.redaction) == (f"mail me at {MAIL}", None)
    assert found.user_id == hashed_user(MAIL, user_key())


@pytest.mark.parametrize(("setting", "text"), [("off", MAIL), ("inline", "[EMAIL]"), ("drain", "[EMAIL]")])
def test_the_processes_setting_holds_where_the_decorator_says_nothing(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, setting: str, text: str
) -> None:
    monkeypatch.setenv("CONTINUUM_REDACT", setting)
    capture(lambda text: text, task="support")(MAIL)

    assert kept.one().messages[0].text == text


def test_what_cannot_be_redacted_inline_is_not_kept_and_is_counted(
    kept: Kept, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTINUUM_REDACTOR", "nobody")
    before = capture_stats()

    assert capture(lambda text: text, task="support", redact="inline")(MAIL) == MAIL

    assert kept.all() == []
    after = capture_stats()
    assert (after.captured - before.captured, after.failed - before.failed) == (1, 1)
    assert MAIL.encode() not in on_disk(home)


def test_memory_leaves_nothing_on_disk_while_the_process_runs(out_of_order: None, home: Path) -> None:
    capture(lambda text: text, task="support", durability="memory")("hello")

    assert on_disk(home) == b""
    assert capture_stats().memory_bytes > 0
    assert capture_stats().pending == 1


def test_disk_is_where_captures_wait_by_default(out_of_order: None, home: Path) -> None:
    capture(lambda text: text, task="support")("hello")

    assert b"hello" in on_disk(home)
    stats = capture_stats()
    assert (stats.on_disk, stats.pending, stats.memory_bytes) == (True, 1, 0)
    assert stats.disk_bytes == len(on_disk(home))


def test_the_decorators_disk_stands_above_the_processes_memory(
    out_of_order: None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTINUUM_DURABILITY", "memory")
    capture(lambda text: text, task="support")("in memory")
    capture(lambda text: text, task="support", durability="disk")("on disk")

    assert b"on disk" in on_disk(home)
    assert b"in memory" not in on_disk(home)


@pytest.mark.parametrize("wrong", [{"durability": "tape"}, {"redact": "sometimes"}, {"redact": False}])
def test_a_word_that_means_nothing_is_refused_where_it_is_written(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"(durability|redact) is .*; it must be one of (disk|drain), "):
        capture(task="support", **wrong)


def test_a_setting_that_cannot_be_read_is_nothing_to_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    default_spool().close()
    monkeypatch.setenv("CONTINUUM_REDACT", "sometimes")

    assert capture(lambda text: text, task="support")("hello") == "hello"
    monkeypatch.delenv("CONTINUUM_REDACT")
