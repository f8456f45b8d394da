"""User ids as keyed hashes: the same user stays recognisable in the store, who it is does not.

The key is `CONTINUUM_USER_KEY`, or the file `user_key` in the home, which is made once. All writers of a store need the same
key. With another key every user gets another hash: their earlier and later interactions no longer belong together.
"""

import errno
import hashlib
import os
import re
import secrets
import stat
from functools import lru_cache
from pathlib import Path

from continuum.config import load_settings, make_private
from continuum.errors import ConfigurationError

KEY_FILE = "user_key"
KEY_BYTES = 32
MIN_KEY_TEXT = 16
"""Characters of a key from the environment; with a shorter one, hashes can be undone by trying keys."""

KEY_FORM = re.compile(rb"[0-9a-f]{64}\n?")
# What a file system without hard links answers.
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


def user_key() -> bytes:
    """The key of the hashes that stand for user ids: from the environment, or from the home, where it is made when missing.

    Raises:
        ConfigurationError: the key is too short, or the file cannot be read, made, or is no key.
    """
    settings = load_settings()
    if settings.user_key is not None:
        return key_of(settings.user_key.get_secret_value())
    return key_in(settings.home)


def hashed_user(user_id: str, key: bytes) -> str:
    """What is stored in place of a user id: `u_` and 32 hexadecimal digits, the same for the same id and key."""
    digest = hashlib.blake2b(user_id.encode("utf-8", "surrogatepass"), key=key, digest_size=16)
    return f"u_{digest.hexdigest()}"


def key_of(text: str) -> bytes:
    """The key that text stands for: 64 hexadecimal digits are the key itself, as in the file; other text is hashed to one."""
    if re.fullmatch("[0-9a-f]{64}", text):
        return bytes.fromhex(text)
    if len(text) < MIN_KEY_TEXT:
        raise ConfigurationError(
            f"CONTINUUM_USER_KEY has {len(text)} characters, at least {MIN_KEY_TEXT} are needed; "
            'make one with: python -c "import secrets; print(secrets.token_hex(32))"'
        )
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()


@lru_cache(maxsize=64)
def key_in(home: Path) -> bytes:
    """The key of a home, made when there is none; read once a process."""
    path = home / KEY_FILE
    try:
        found = read(path)
        if found is None:
            make(path)
            found = read(path)
    except OSError as error:
        raise ConfigurationError(
            f"the key of user ids at {path} cannot be read or made: {error.strerror or type(error).__name__}; "
            "give this user access to the folder, or set CONTINUUM_USER_KEY"
        ) from error
    if found is None or not KEY_FORM.fullmatch(found):
        raise ConfigurationError(
            f"the file {path} is no key of user ids: it must hold 64 hexadecimal digits; put it back from a backup, or delete "
            "it for a new key, with which users no longer match their earlier interactions"
        )
    return bytes.fromhex(found.decode("ascii").strip())


def read(path: Path) -> bytes | None:
    """What the file holds, after taking it from everyone else's eyes; None where there is none."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with open(handle, "rb") as file:
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
        if mode & 0o077 and os.name == "posix":
            os.fchmod(handle, 0o600)
        return file.read(KEY_BYTES * 2 + 2)


def make(path: Path) -> None:
    """Put a new key at the path, unless another process was faster; nobody ever reads a half-written one."""
    make_private(path.parent)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    key = secrets.token_hex(KEY_BYTES).encode("ascii")
    try:
        write_new(draft, key)
        # A link, unlike a rename, fails when the name is taken: the first key wins and stays.
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        claim(path, key)
    finally:
        draft.unlink(missing_ok=True)


def claim(path: Path, key: bytes) -> None:
    """Put the key at the path on a file system without links: one process at a time, behind a lock file."""
    lock = path.with_name(f"{path.name}.lock")
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)
        if not path.exists():
            draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
            write_new(draft, key)
            draft.replace(path)
    finally:
        os.close(handle)


def write_new(path: Path, content: bytes) -> None:
    """A new file that only this user can read, on the disk before this returns."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
