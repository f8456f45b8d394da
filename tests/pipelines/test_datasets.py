from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from continuum.curation.curator import DataCurator
from continuum.dataset import Dataset
from continuum.store.database import Store
from continuum_pipelines.columns import dataset_columns
from continuum_pipelines.datasets import checks_of, checks_of_newest, metadata_of
from tests.curation.test_curator import fill, noon


@pytest.fixture
async def dataset(store: Store) -> Dataset:
    fill(store)
    return await DataCurator(target_size=15, min_examples=5, store=store).build("support", now=noon)


def changed(dataset: Dataset, report: str, **values: Any) -> Dataset:
    """The same version, had its report said something else."""
    return Dataset((), dataset.manifest | {report: dataset.manifest[report] | values})


async def test_the_checks_pass_on_what_was_built_and_say_what_they_rest_on(dataset: Dataset) -> None:
    sealed, diverse, unlike = checks_of(dataset)

    assert sealed.passed
    assert diverse.passed
    assert unlike.passed
    assert unlike.description == "0 of 15 examples teach what another one teaches, by a similarity of 0.92"
    assert "golden questions: none is one" in str(sealed.description)
    assert "this line of models wrote 0 of 15 chosen answers" in str(diverse.description)


async def test_a_report_that_is_not_there_or_tells_of_a_leak_fails(dataset: Dataset) -> None:
    assert not checks_of(Dataset((), {}))[0].passed
    assert not checks_of(changed(dataset, "decontamination", exact_contexts=1))[0].passed
    crossing = {"on_both_sides": {"opening": 1}}
    assert not checks_of(changed(dataset, "decontamination", sides=crossing))[0].passed


async def test_too_much_of_its_own_or_too_much_alike_fails(dataset: Dataset) -> None:
    assert not checks_of(changed(dataset, "generations", share=0.6, cap=0.5))[1].passed
    assert not checks_of(changed(dataset, "generations", holds=False))[1].passed


async def test_an_example_that_repeats_another_is_found_in_the_files(dataset: Dataset) -> None:
    first = dataset.examples[0]
    again = first.model_copy(update={"interaction_id": "zz-again", "score": first.score})

    unlike = checks_of(Dataset((*dataset.examples, again), dataset.manifest))[2]

    assert not unlike.passed
    assert unlike.severity == dg.AssetCheckSeverity.WARN
    assert "1 of 16 examples" in str(unlike.description)
    (pair,) = unlike.metadata["pairs"].value.records
    assert pair.data == {"stays": first.interaction_id, "repeats_it": "zz-again"}


async def test_a_version_goes_on_failing_while_no_other_is_built(dataset: Dataset, store: Store) -> None:
    assert all(check.passed for check in checks_of_newest(store, "support"))
    record = store.datasets.latest("support")
    assert record is not None
    (Path(record.uri) / "examples.parquet").unlink()

    sealed, diverse, unlike = checks_of_newest(store, "support")

    assert sealed.passed
    assert diverse.passed
    assert not unlike.passed
    assert "examples.parquet" in str(unlike.description)
    assert all(check.passed for check in checks_of_newest(store, "nobody"))


async def test_the_columns_shown_are_those_of_the_file(dataset: Dataset, store: Store) -> None:
    record = store.datasets.latest("support")
    shown = metadata_of(dataset, record, None)

    assert record is not None
    file = pq.read_schema(Path(record.uri) / "examples.parquet")
    columns = shown["dagster/column_schema"].columns
    assert [column.name for column in columns] == file.names
    types = {column.name: column.type for column in columns}
    assert (types["score"], types["cluster"], types["duplicates"]) == ("float64", "int64", "list<string>")
    assert types["messages"] == "list<struct<role: string, content: string>>"
    assert shown["dagster/row_count"] == len(dataset)
    assert shown["dagster/uri"] == record.uri
    assert dataset_columns(str(Path(record.uri).parent / "gone")) is None


def test_no_dataset_is_no_failure() -> None:
    assert all(result.passed for result in checks_of(None))


async def test_what_is_covered_and_left_out_stands_beside_the_checks(dataset: Dataset) -> None:
    shown = metadata_of(dataset, None, None)

    assert "have an example" in shown["coverage"]
    assert sum(row.data["selected"] for row in shown["classes"].records) == 15
    left_out = {row.data["left out"]: row.data["count"] for row in shown["left_out"].records}
    counts = dataset.manifest["counts"]
    assert left_out["scored too low"] == counts["below_quality"]
    assert sum(left_out.values()) == counts["seen"] - counts["eligible"]
    assert 0 < shown["coverage_of_control"] <= 1
