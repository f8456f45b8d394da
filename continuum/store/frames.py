"""Interactions in polars: frames of them, and the rows of a part."""

from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any

import polars as pl
from sqlalchemy import Engine, Float, Integer, Text

from continuum.store import parts
from continuum.store.reading import COLUMNS, SAID, Filter, Span, paged, readable
from continuum.store.sources import Part, Row, database_rows, planned
from continuum.store.tables import UtcDateTime, interactions

PAGE_ROWS = 5000


def _type_of(name: str) -> pl.DataType:
    kind = Text() if name in SAID else interactions.c[name].type
    if isinstance(kind, UtcDateTime):
        return pl.Datetime("us", "UTC")
    if isinstance(kind, Float):
        return pl.Float64()
    return pl.Int64() if isinstance(kind, Integer) else pl.String()


SCHEMA = {name: _type_of(name) for name in COLUMNS}


def read_frame(engine: Engine, wanted: Filter, columns: Sequence[str]) -> pl.DataFrame:
    """The rows asked for as a frame, in the order of their sequence numbers."""
    read = tuple(dict.fromkeys((*columns, "sequence")))
    found, rest = planned(engine, wanted)
    fresh = [part for part in found if not part.stale]
    spans = [part.span for part in found if part.stale]
    frames: list[pl.DataFrame] = []
    try:
        for uris in parts.together([part.uri for part in fresh]):
            frames.append(narrowed(parts.scan(uris), wanted).select(read).collect())
    except Exception as error:
        if not parts.is_missing(error):
            raise
        # Some may have been read: all of them come from the database instead.
        frames.clear()
        spans.extend(part.span for part in fresh)
    for span in (*spans, rest):
        query = wanted.in_database(span.in_database(readable(read)))
        frames.extend(frame_of(rows, read) for rows in paged(engine, query, PAGE_ROWS))
    whole = pl.concat(frames) if frames else pl.DataFrame(schema={name: SCHEMA[name] for name in read})
    return whole.sort("sequence").select(columns)


def part_rows(engine: Engine, part: Part, wanted: Filter) -> Iterator[Row]:
    """The rows of a part, a row group in memory at a time; from the database where the file is not there."""
    after = part.first_sequence - 1
    size = parts.rows_at_once(part.uri, part.rows)
    for offset in range(0, part.rows, size):
        try:
            frame = narrowed(parts.scan([part.uri]).slice(offset, size), wanted).collect()
        except Exception as error:
            if not parts.is_missing(error):
                raise
            yield from database_rows(engine, wanted, Span(after + 1, part.last_sequence, part.day))
            return
        for row in frame.iter_rows(named=True):
            after = row["sequence"]
            yield row


def narrowed(frame: pl.LazyFrame, wanted: Filter) -> pl.LazyFrame:
    """Those rows of parts that are asked for."""
    if wanted.since is not None:
        frame = frame.filter(pl.col("started_at") >= wanted.since.astimezone(UTC))
    if wanted.until is not None:
        frame = frame.filter(pl.col("started_at") < wanted.until.astimezone(UTC))
    if wanted.status is not None:
        frame = frame.filter(pl.col("status") == wanted.status)
    if wanted.deployment_id is not None:
        frame = frame.filter(pl.col("deployment_id") == wanted.deployment_id)
    return frame


def frame_of(rows: Sequence[Any], columns: Sequence[str]) -> pl.DataFrame:
    """Rows of the database as a frame."""
    return pl.DataFrame(
        {name: [row[number] for row in rows] for number, name in enumerate(columns)},
        schema={name: SCHEMA[name] for name in columns},
    )
