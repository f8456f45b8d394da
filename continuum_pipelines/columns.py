"""The columns of Parquet files as Dagster's catalogue shows them, read from the files themselves."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from continuum.artifacts.copies import local
from continuum.dataset_rows import ROWS
from continuum.errors import StoreError

if TYPE_CHECKING:
    from continuum.store.database import Store

EXAMPLES = {
    "interaction_id": "id of the interaction that the row was made from",
    "messages": "the conversation in chat form, the answer to learn last",
    "conversation": "the same with every field that was captured, as JSON",
    "score": "1 to 5: people's verdict where there is one, else the judge's",
    "score_source": "who gave the score: human, judge, or correction for an answer that a person wrote",
    "split": "train or validation; what is validated on is never trained on",
    "group": "rows of one group never stand on two sides of a split",
    "intent": "the application's own name for what was asked",
    "cluster": "the kind of question, by number",
    "generation": "0: written by a person or a model outside this line; k: by version k of it",
    "duplicates": "ids of the interactions that this row stands for",
    "reason": "why it is in the dataset",
}
"""What the columns of a dataset version hold, where their names do not say it."""
INTERACTIONS = {
    "sequence": "number in the order of arrival",
    "started_at": "when the call began, UTC",
    "arrived_at": "when the store took it, UTC",
    "messages": "what the model was given, as JSON",
    "response": "what it answered, as JSON; none when the call failed before",
    "status": "ok, error or cancelled",
    "user_id": "keyed hash of the application's own id",
    "parent_id": "the interaction inside which this one happened",
    "variant": "which arm of the deployment answered",
    "source": "the door it came in by: capture, gateway, import",
    "redaction": "version of the redactor that took personal data out",
    "fingerprint": "64-bit SimHash of the words",
    "near_repeat_of": "an earlier interaction with almost the same words",
}
"""The same of a snapshot."""


def dataset_columns(uri: str) -> dg.TableSchema | None:
    """The columns of a dataset version's examples; None where its files cannot be read, which the training will say louder."""
    import polars as pl

    try:
        return table_schema(pl.read_parquet_schema(local(uri) / ROWS), EXAMPLES)
    except (StoreError, OSError, pl.exceptions.PolarsError):
        return None


def snapshot_columns(store: "Store", task: str) -> dg.TableSchema | None:
    """The columns of a task's newest snapshot; None where there is none yet, or another machine keeps it."""
    from continuum.store.snapshots import schema_of_newest  # polars starts here

    found = schema_of_newest(store, task)
    return table_schema(found, INTERACTIONS) if found else None


def table_schema(schema: Mapping[str, object], meanings: Mapping[str, str]) -> dg.TableSchema:
    """A file's schema, in the order of its columns, with what some of them mean."""
    columns = [dg.TableColumn(name, type_words(kind), description=meanings.get(name)) for name, kind in schema.items()]
    return dg.TableSchema(columns)


def type_words(kind: object) -> str:
    """A polars type as people write it: `string`, `list<struct<role: string, content: string>>`."""
    import polars as pl

    if isinstance(kind, pl.List):
        return f"list<{type_words(kind.inner)}>"
    if isinstance(kind, pl.Struct):
        return f"struct<{', '.join(f'{field.name}: {type_words(field.dtype)}' for field in kind.fields)}>"
    if isinstance(kind, pl.Datetime):
        return f"timestamp[{kind.time_unit}, {kind.time_zone or 'no zone'}]"
    return str(kind).lower()
