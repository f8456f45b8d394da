from typing import Any

import pytest

from continuum.curation.curator import DataCurator
from continuum.dataset import Dataset
from continuum.store.database import Store
from continuum_pipelines.datasets import checks_of, metadata_of
from tests.curation.test_curator import fill, noon


@pytest.fixture
async def dataset(store: Store) -> Dataset:
    fill(store)
    return await DataCurator(target_size=15, min_examples=5, store=store).build("support", now=noon)


def changed(dataset: Dataset, report: str, **values: Any) -> Dataset:
    """The same version, had its report said something else."""
    return Dataset((), dataset.manifest | {report: dataset.manifest[report] | values})


async def test_both_checks_pass_on_what_was_built_and_say_what_they_rest_on(dataset: Dataset) -> None:
    sealed, diverse = checks_of(dataset)

    assert sealed.passed
    assert diverse.passed
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


def test_no_dataset_is_no_failure() -> None:
    assert all(result.passed for result in checks_of(None))


async def test_what_is_covered_and_left_out_stands_beside_the_checks(dataset: Dataset) -> None:
    shown = metadata_of(dataset)

    assert "have an example" in shown["coverage"]
    assert sum(row.data["selected"] for row in shown["classes"].records) == 15
    left_out = {row.data["left out"]: row.data["count"] for row in shown["left_out"].records}
    counts = dataset.manifest["counts"]
    assert left_out["scored too low"] == counts["below_quality"]
    assert sum(left_out.values()) == counts["seen"] - counts["eligible"]
    assert 0 < shown["coverage_of_control"] <= 1
