from continuum.records import Checkpoint, DatasetRecord, Interval, Verdict, VerdictStatus
from continuum.store.database import Store
from continuum.store.learning import DatasetItem


def a_dataset(version: int = 1, kind: str = "training") -> DatasetRecord:
    name = f"support_{kind}_v{version}"
    return DatasetRecord(id=f"hash-of-{name}", task="support", kind=kind, name=name, version=version, uri="d", manifest={"n": 1})


def test_a_dataset_is_stored_with_its_members_once(store: Store) -> None:
    items = [DatasetItem(interaction_id=f"i{n}", split="train", score=4.5, reason="good") for n in range(700)]

    store.datasets.add(a_dataset(), items)
    store.datasets.add(a_dataset(), items)

    assert store.datasets.items("hash-of-support_training_v1") == sorted(items, key=lambda item: item.interaction_id)
    assert store.datasets.get("support_training_v1") == a_dataset().model_copy(
        update={"created_at": store.datasets.latest("support").created_at}
    )


def test_members_of_every_version_of_a_kind_are_known(store: Store) -> None:
    store.datasets.add(a_dataset(1, "golden"), [DatasetItem(interaction_id="a", split="golden")])
    store.datasets.add(a_dataset(2, "golden"), [DatasetItem(interaction_id="b", split="golden")])
    store.datasets.add(a_dataset(1), [DatasetItem(interaction_id="c", split="train")])

    assert store.datasets.member_ids("support", "golden") == {"a", "b"}
    assert store.datasets.next_version("support", "golden") == 3
    assert store.datasets.latest("support", "golden").version == 2


def test_checkpoints_are_found_by_id_and_by_serving_name(store: Store) -> None:
    first = Checkpoint(task="support-v", version=1, base_model="b", uri="u", dataset_id="d", metrics={"final_loss": 0.5})
    store.checkpoints.add(first)

    assert store.checkpoints.get(first.id) == first == store.checkpoints.get("support-v-v1")
    assert store.checkpoints.get("support-v1") is None
    assert store.checkpoints.next_version("support-v") == 2


def test_the_newest_verdict_on_a_checkpoint_counts(store: Store) -> None:
    told = [
        Verdict(
            task="support",
            checkpoint_id="c",
            baseline="production",
            golden_id="g",
            status=status,
            approved=status != VerdictStatus.BLOCKED,
            deltas={"accuracy": -0.1},
            intervals={"accuracy": Interval(low=-0.2, high=0.0)},
            failed_checks=("accuracy fell",),
        )
        for status in (VerdictStatus.APPROVED, VerdictStatus.BLOCKED)
    ]
    for verdict in told:
        store.verdicts.add(verdict)

    assert store.verdicts.latest("c") == told[1]
    assert store.verdicts.get(told[0].id) == told[0]
    assert store.verdicts.latest("other") is None
