import multiprocessing
import os
import re
import stat
import sys
from pathlib import Path

import pytest

from continuum.errors import ConfigurationError
from continuum.spool import users
from continuum.spool.users import hashed_user, user_key


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    users.key_in.cache_clear()


def key_of_another_process(_: int) -> bytes:
    return user_key()


def test_the_same_user_and_key_give_the_same_hash_and_nothing_of_the_id_stays() -> None:
    hashed = hashed_user("jane@example.com", b"k" * 32)

    assert re.fullmatch("u_[0-9a-f]{32}", hashed)
    assert hashed == hashed_user("jane@example.com", b"k" * 32)
    assert hashed != hashed_user("jane@example.org", b"k" * 32)


def test_another_key_makes_every_user_somebody_else() -> None:
    assert hashed_user("jane", b"a" * 32) != hashed_user("jane", b"b" * 32)


def test_an_id_that_no_encoding_takes_is_hashed_all_the_same() -> None:
    assert hashed_user("\ud800", b"k" * 32).startswith("u_")
    assert hashed_user("", b"k" * 32).startswith("u_")


def test_the_key_is_made_once_and_only_its_owner_can_read_it(home: Path) -> None:
    key = user_key()
    users.key_in.cache_clear()

    assert len(key) == 32
    assert user_key() == key
    assert stat.S_IMODE((home / "user_key").stat().st_mode) == 0o600
    assert [file.name for file in home.iterdir()] == ["user_key"]


def test_homes_have_keys_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = user_key()
    monkeypatch.setenv("CONTINUUM_HOME", str(tmp_path / "other"))

    assert user_key() != first


def test_processes_that_start_at_once_agree_on_one_key(home: Path) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        keys = pool.map(key_of_another_process, range(32), chunksize=1)
        # Ended in order: the signal with which a pool ends its workers otherwise may be one that a test has taken over.
        pool.close()
        pool.join()

    assert len(set(keys)) == 1
    assert keys[0] == user_key()
    assert [file.name for file in home.iterdir()] == ["user_key"]


def test_file_systems_without_links_keep_one_key_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(users.errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refused)
    key = user_key()
    users.key_in.cache_clear()

    assert user_key() == key
    assert stat.S_IMODE((home / "user_key").stat().st_mode) == 0o600


def test_a_key_that_others_could_read_is_taken_back(home: Path) -> None:
    key = user_key()
    (home / "user_key").chmod(0o644)
    users.key_in.cache_clear()

    assert user_key() == key
    assert stat.S_IMODE((home / "user_key").stat().st_mode) == 0o600


def test_the_key_of_the_environment_wins_and_makes_no_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_USER_KEY", "correct horse battery staple")

    assert len(user_key()) == 32
    assert not home.exists()


def test_the_content_of_the_file_works_as_the_key_of_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = user_key()
    monkeypatch.setenv("CONTINUUM_USER_KEY", (home / "user_key").read_text())

    assert user_key() == key


def test_a_short_key_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTINUUM_USER_KEY", "hunter2")

    with pytest.raises(ConfigurationError, match="has 7 characters, at least 16") as refused:
        user_key()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"not a key", b"ab" * 31, b"ab" * 33, b"\xff" * 64])
def test_a_garbled_file_is_an_error_that_says_what_to_do(home: Path, content: bytes) -> None:
    home.mkdir()
    (home / "user_key").write_bytes(content)

    with pytest.raises(ConfigurationError, match="must hold 64 hexadecimal digits; put it back from a backup, or delete"):
        user_key()
    assert (home / "user_key").read_bytes() == content


def test_a_home_that_cannot_be_is_an_error_that_names_the_way_out(home: Path) -> None:
    home.write_text("a file where the folder should be")

    with pytest.raises(ConfigurationError, match="set CONTINUUM_USER_KEY"):
        user_key()


def test_a_folder_in_place_of_the_file_is_an_error(home: Path) -> None:
    (home / "user_key").mkdir(parents=True)

    with pytest.raises(ConfigurationError, match="cannot be read or made"):
        user_key()


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_an_error(home: Path) -> None:
    user_key()
    (home / "user_key").chmod(0)
    users.key_in.cache_clear()

    with pytest.raises(ConfigurationError, match="give this user access"):
        user_key()
