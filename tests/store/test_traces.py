"""Every column of every table is known to erasure, and quotes are taken out of those that may hold one."""

import json

from continuum.records import DatasetRecord, Verdict, VerdictStatus
from continuum.store.database import Store
from continuum.store.tables import metadata
from continuum.store.traces import TRACES, Trace, quoting, rewrite_quotes, trace_of
from tests.builders import NOON


def test_somebody_has_thought_about_every_column_of_every_table() -> None:
    columns = [(table.name, column.name) for table in metadata.sorted_tables for column in table.c]
    unknown = [one for one in columns if trace_of(*one) is None]
    assert unknown == [], "say in continuum/store/traces.py what an erasure does with them, and see that it does"


def test_no_trace_speaks_of_a_column_that_is_not_there() -> None:
    for name, traces in TRACES.items():
        named = {column for columns in traces.values() for column in columns}
        assert named <= set(metadata.tables[name].c.keys()), name
        assert sum(not columns for columns in traces.values()) <= 1, name


def test_every_table_with_json_or_text_of_others_making_is_looked_through() -> None:
    looked = {(table.name, column.name) for table, columns in quoting() for column in columns}
    assert {("verdicts", "evidence"), ("notifications", "payload"), ("datasets", "manifest")} <= looked
    assert trace_of("interactions", "user_id") is Trace.GOES


def test_a_quote_is_taken_out_and_the_rows_hash_before_is_written_down(store: Store) -> None:
    for name in ("v1", "v2"):
        store.verdicts.add(
            Verdict(
                id=name,
                task="support",
                checkpoint_id="c",
                baseline="production",
                golden_id="g",
                status=VerdictStatus.APPROVED,
                approved=True,
                evidence={"worst": [{"question": "secret" if name == "v1" else "plain"}]},
                created_at=NOON,
            )
        )
    store.datasets.add(
        DatasetRecord(id="g", kind="golden", task="support", name="g", version=1, uri="u", manifest={"a": "secret"}), []
    )

    changed = rewrite_quotes(store.engine, lambda value: json.loads(json.dumps(value).replace("secret", "gone")), "e")

    assert [(one.table, one.id) for one in changed] == [("verdicts", "v1")]
    found = store.verdicts.get("v1")
    assert found is not None
    assert found.evidence == {"worst": [{"question": "gone"}]}
    note = store.erasures.artifact("verdict", "v1")
    assert note is not None
    assert note.before["row"] != note.after["row"]
    assert store.erasures.artifact("verdict", "v2") is None
    # What the files of a golden set are held against stays as it is.
    record = store.datasets.get("g")
    assert record is not None
    assert record.manifest == {"a": "secret"}
