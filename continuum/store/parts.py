"""The files of snapshots: on a local disk, in S3 by boto3's credentials, or wherever fsspec reaches.

A file appears under its name whole or not at all.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl

from continuum.errors import MissingExtra
from continuum.ids import new_id

ROW_GROUP_ROWS = 2000
"""What is read at once of a part."""
COMPRESSION_LEVEL = 3
LEFTOVER_SECONDS = 3600.0
"""A temporary file this old belongs to a process that was killed."""


def put(uri: str, frame: pl.DataFrame) -> None:
    """Write a part."""
    if _is_local(uri):
        _put_local(_path(uri), frame)
        return
    content = BytesIO()
    _write(frame, content)
    if uri.startswith("s3://"):
        # An object appears when its upload is complete.
        _s3().put_object(**_s3_place(uri), Body=content.getvalue())
        return
    system, path = _fsspec(uri)
    temporary = f"{path}.{new_id()}.tmp"
    system.makedirs(path.rpartition("/")[0], exist_ok=True)
    system.pipe_file(temporary, content.getvalue())
    system.mv(temporary, path)


def remove(uri: str) -> None:
    """Delete a part; one that is gone already is no error."""
    if _is_local(uri):
        _path(uri).unlink(missing_ok=True)
    elif uri.startswith("s3://"):
        _s3().delete_object(**_s3_place(uri))
    else:
        system, path = _fsspec(uri)
        if system.exists(path):
            system.rm_file(path)


def scan(uris: Sequence[str]) -> pl.LazyFrame:
    """Read parts lazily; what lies on another machine is fetched whole, which is a few megabytes each."""
    if all(map(_is_local, uris)):
        return pl.scan_parquet([_path(uri) for uri in uris], hive_partitioning=False, glob=False)
    return pl.concat([pl.scan_parquet(BytesIO(_fetched(uri)), hive_partitioning=False) for uri in uris])


def together(uris: Sequence[str]) -> list[list[str]]:
    """The parts in lists that are read at once: those of this machine all, others one by one, for the sake of memory."""
    local = [uri for uri in uris if _is_local(uri)]
    return ([local] if local else []) + [[uri] for uri in uris if not _is_local(uri)]


def rows_at_once(uri: str, rows: int) -> int:
    """How much of a part to fetch at a time: from afar the whole, which is a few megabytes, in one go."""
    return ROW_GROUP_ROWS if _is_local(uri) else max(rows, 1)


def is_missing(error: Exception) -> bool:
    """Whether an error says that a file is not there: somebody wrote the part anew, or keeps it on another machine."""
    return isinstance(error, FileNotFoundError) or "not found" in str(error).lower() or "404" in str(error)


def sweep(root: str, task: str) -> None:
    """Delete what processes that were killed left half written."""
    if not _is_local(root):
        return
    for leftover in _path(root).glob(f"task={task}/day=*/.part-*.tmp"):
        # Whoever was writing it may give it its name at this moment.
        with suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                leftover.unlink(missing_ok=True)


def _put_local(path: Path, frame: pl.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{new_id()}.tmp")
    try:
        with temporary.open("wb") as file:
            _write(frame, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write(frame: pl.DataFrame, file: Any) -> None:
    frame.write_parquet(
        file, compression="zstd", compression_level=COMPRESSION_LEVEL, row_group_size=ROW_GROUP_ROWS, statistics=True
    )


def _is_local(uri: str) -> bool:
    return "://" not in uri or uri.startswith("file://")


def _path(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def _fetched(uri: str) -> bytes:
    # Not by polars: its first read from S3 starts a thread that asks for an environment variable 30 times a second for as long
    # as the process lives, and glibc before 2.41 crashes when another thread sets one at that moment.
    if uri.startswith("s3://"):
        client = _s3()
        try:
            return client.get_object(**_s3_place(uri))["Body"].read()
        except client.exceptions.NoSuchKey as error:
            raise FileNotFoundError(f"{uri} is not there") from error
    system, path = _fsspec(uri)
    return system.cat_file(path)


def _fsspec(uri: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtra(f"snapshots at {urlsplit(uri).scheme}:// need fsspec; install it with: pip install fsspec") from error
    return url_to_fs(uri)


def _s3() -> Any:
    try:
        import boto3
    except ImportError as error:
        raise MissingExtra("snapshots in S3 need boto3; install it with: pip install boto3") from error
    return boto3.client("s3")


def _s3_place(uri: str) -> dict[str, str]:
    address = urlsplit(uri)
    return {"Bucket": address.netloc, "Key": address.path.lstrip("/")}
