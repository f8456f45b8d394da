import multiprocessing
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from continuum.records import DatasetRecord
from continuum.store.database import Store, open_store
from continuum.store.golden_uses import GoldenUse
from continuum.store.learning import DatasetItem

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ITEMS = [f"i{n}" for n in range(10)]


def claimed(
    store: Store,
    checkpoint: str,
    golden: str = "g1",
    items: Sequence[str] = ITEMS,
    *,
    task: str = "support",
    against: str = "champion",
) -> GoldenUse:
    return store.golden_uses.claim(task, golden, items, checkpoint, against, lambda: NOW)


def a_golden_set(store: Store, fingerprint: str, items: Sequence[str], version: int = 1) -> None:
    record = DatasetRecord(
        id=fingerprint,
        task="support",
        name=f"support_golden_v{version}",
        version=version,
        kind="golden",
        uri="nowhere",
        manifest={},
    )
    store.datasets.add(record, [DatasetItem(interaction_id=one, split="golden") for one in items])


def test_each_further_candidate_on_the_same_questions_is_one_later(store: Store) -> None:
    assert [claimed(store, f"c{n}").position for n in range(4)] == [1, 2, 3, 4]
    assert [use.checkpoint_id for use in store.golden_uses.of("support")] == ["c0", "c1", "c2", "c3"]


def test_the_same_candidate_again_keeps_its_place(store: Store) -> None:
    first = claimed(store, "c0")
    claimed(store, "c1")

    assert claimed(store, "c0") == first
    assert len(store.golden_uses.of("support")) == 2


def test_the_same_candidate_against_another_baseline_is_another_look(store: Store) -> None:
    claimed(store, "c0")

    assert claimed(store, "c0", against="production").position == 2


def test_a_set_that_grew_is_still_the_same_questions_until_half_of_them_are_new(store: Store) -> None:
    a_golden_set(store, "g1", ITEMS)
    a_golden_set(store, "g2", [*ITEMS, *(f"new{n}" for n in range(10))], 2)
    a_golden_set(store, "g3", [*ITEMS[:5], *(f"newer{n}" for n in range(15))], 3)
    claimed(store, "c0", "g1")
    claimed(store, "c1", "g1")

    assert claimed(store, "c2", "g2", [*ITEMS, *(f"new{n}" for n in range(10))]).position == 3
    assert claimed(store, "c3", "g3", [*ITEMS[:5], *(f"newer{n}" for n in range(15))]).position == 1
    # Half of the first set's questions were in the third.
    assert claimed(store, "c4", "g1").position == 5


def test_of_a_set_whose_questions_nobody_knows_the_worst_is_supposed(store: Store) -> None:
    a_golden_set(store, "g2", ["other"], 2)
    claimed(store, "c0", "a file")

    assert claimed(store, "c1", "g2", ["other"]).position == 2


def test_other_tasks_have_ledgers_of_their_own(store: Store) -> None:
    claimed(store, "c0")

    assert claimed(store, "d0", task="billing", golden="g9").position == 1
    assert [use.sequence for use in store.golden_uses.of("billing")] == [1]


def test_the_uses_of_the_same_questions_can_be_counted_before_another(store: Store) -> None:
    claimed(store, "c0")
    claimed(store, "c1")

    assert [use.checkpoint_id for use in store.golden_uses.sharing("support", "g1", ITEMS)] == ["c0", "c1"]
    assert store.golden_uses.sharing("support", "g1", ITEMS)[0].created_at == NOW


def test_a_set_of_many_items_is_compared_whole(store: Store) -> None:
    many = [f"m{n}" for n in range(1200)]
    a_golden_set(store, "g1", many)
    claimed(store, "c0", "g1", many)

    assert claimed(store, "c1", "g2", many[590:]).position == 2
    assert claimed(store, "c2", "g3", [*many[:100], *(f"x{n}" for n in range(101))]).position == 2


def test_a_dropped_task_leaves_no_ledger(store: Store) -> None:
    claimed(store, "c0")

    store.drop_task("support")

    assert store.golden_uses.of("support") == []


def claim_many(url: str, checkpoints: list[str]) -> None:
    store = open_store(url)
    for checkpoint in checkpoints:
        claimed(store, checkpoint)
    store.close()


@pytest.mark.slow
def test_processes_that_claim_at_once_get_a_place_each(store: Store) -> None:
    url = store.engine.url.render_as_string(hide_password=False)
    context = multiprocessing.get_context("spawn")
    # Each candidate is claimed by two processes.
    shares = [[f"c{n}" for n in range(start, 24, 2)] for start in (0, 1)]
    processes = [context.Process(target=claim_many, args=(url, share)) for share in [*shares, *shares]]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0] * 4
    uses = store.golden_uses.of("support")
    assert [use.position for use in uses] == [use.sequence for use in uses] == list(range(1, 25))
    assert {use.checkpoint_id for use in uses} == {f"c{n}" for n in range(24)}
