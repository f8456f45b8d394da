"""What a gateway knew last, on disk: for a start while the store is down. Whole or not at all, and checked when it is read."""

import hashlib
import json
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from continuum.config import make_private
from continuum.records import Record

Known = TypeVar("Known", bound=Record)
DRAFT_S = 60.0
"""A file that is still being written is younger than this."""


def write_known(file: Path, known: Record) -> None:
    """Put what is known on disk, for this user's eyes; nobody ever reads a half-written one.

    Raises:
        OSError: the disk does not take it.
    """
    make_private(file.parent)
    content = known.model_dump_json()
    draft = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
            json.dump({"sha256": hashlib.sha256(content.encode()).hexdigest(), "known": content}, opened)
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    for left in file.parent.glob(f"{file.name}.*.*"):
        # Of a process that was killed while it wrote; nobody takes so long.
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > DRAFT_S:
                left.unlink()


def read_known(file: Path, kind: type[Known]) -> Known | None:
    """What is known on disk; None where nothing was ever written.

    Raises:
        ValueError: the file is damaged, or is something else.
    """
    try:
        written = json.loads(file.read_text(encoding="utf-8"))
        content, digest = written["known"], written["sha256"]
        if hashlib.sha256(content.encode()).hexdigest() != digest:
            raise ValueError("its content does not have the hash that stands beside it")
        return kind.model_validate_json(content)
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ValueError(f"it holds something else ({error.error_count()} faults)") from error
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
