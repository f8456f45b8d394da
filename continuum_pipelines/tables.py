"""Numbers as the Dagster UI shows them best: as tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

DIGITS = 4
"""Decimals shown; the store has all of them."""


def counts_table(name: str, counts: Mapping[Any, int]) -> dg.TableMetadataValue | None:
    """Counts, in the order given; None where there are none."""
    return rows_table([{name: str(key), "count": count} for key, count in counts.items()])


def rows_table(rows: Sequence[Mapping[str, str | int | float | bool | None]]) -> dg.TableMetadataValue | None:
    """Rows with the same columns; None where there are none."""
    if not rows:
        return None
    rows = [{name: round(value, DIGITS) if isinstance(value, float) else value for name, value in row.items()} for row in rows]
    columns = [dg.TableColumn(name, column_type(row[name] for row in rows)) for name in rows[0]]
    return dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows], schema=dg.TableSchema(columns))


def column_type(values: Iterable[Any]) -> str:
    """What Dagster calls the type of a column."""
    found = {type(value) for value in values if value is not None}
    if found == {int}:
        return "int"
    return "float" if found and found <= {int, float} else "string"


def histogram(scores: Iterable[float]) -> dict[str, int]:
    """How many scores round to each of 1 to 5."""
    counts = {str(score): 0 for score in range(1, 6)}
    for score in scores:
        counts[str(min(5, max(1, round(score))))] += 1
    return counts


def link(address: str | None) -> dg.UrlMetadataValue | dg.TextMetadataValue | None:
    """An address to follow where it is one of the web, else as text; None where there is none."""
    if not address:
        return None
    return dg.MetadataValue.url(address) if address.startswith("http") else dg.MetadataValue.text(address)


def markdown(text: str) -> dg.MarkdownMetadataValue | None:
    """A picture or some text in Markdown; None where there is none."""
    return dg.MetadataValue.md(text) if text else None
