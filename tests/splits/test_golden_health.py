"""What is said of a golden dataset's age, its leaks, its uses, and of what it can show."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from continuum.errors import StoreError
from continuum.policy import JudgePolicy, SplitPolicy, TaskPolicy
from continuum.records import Checkpoint
from continuum.splits.golden import GoldenDataset
from continuum.splits.golden_growth import grow
from continuum.splits.golden_items import GoldenItem
from continuum.splits.golden_leaks import leakage_of
from continuum.splits.own_items import read_items
from continuum.statistics.power import detectable_effect
from continuum.store.database import Store
from tests.builders import NOON, an_interaction, interactions, user
from tests.splits.test_golden_growth import trained_on

POLICY = TaskPolicy(task="support", judge=JudgePolicy(model="gpt-4"), splits=SplitPolicy(golden=0.6, validation=0.1))
SOON = NOON + timedelta(days=1)


@pytest.fixture
def golden(store: Store) -> GoldenDataset:
    store.tasks.register(POLICY)
    store.interactions.add(interactions(60, tags={"intent": "parcels"}))
    return GoldenDataset.from_task("support")


def test_it_says_what_drop_it_can_detect_wherever_it_is_shown(store: Store, golden: GoldenDataset) -> None:
    drop = detectable_effect(0.2, golden.groups)

    assert golden.detectable() == drop
    assert golden.detectable(0.1) == pytest.approx(drop / 2)
    assert f"a drop of {drop:.3f} is found 4 times in 5" in repr(GoldenDataset.load(golden.name))
    assert golden.health(store).detectable == pytest.approx(drop, abs=1e-4)


def test_what_counts_for_a_drop_are_groups_of_the_task_itself() -> None:
    items = tuple(GoldenItem(interaction_id=f"i{n}", messages=(user(str(n)),), group=f"g{n // 2}") for n in range(40))
    others = tuple(item.model_copy(update={"kind": "alignment", "group": item.interaction_id}) for item in items)

    assert GoldenDataset("s", "support", 1, "f", items + others, {}).groups == 20
    alone = GoldenDataset("s", "support", 1, "f", others, {})
    assert alone.detectable() == 1.0
    assert "too few" in repr(alone)


def test_a_fresh_set_is_young_unused_and_without_leaks(store: Store, golden: GoldenDataset) -> None:
    health = golden.health(store, now=lambda: SOON)

    assert 0.9 < (health.median_age_days or 0) < 1.1
    assert (health.older_share, health.leaks, health.uses, health.last_used_at) == (0, (), 0, None)
    assert health.next_level == pytest.approx(0.05 * 6 / 3.14159265**2)
    assert [(one.name, one.items, one.traffic) for one in health.slices] == [("parcels", len(golden), 1.0)]


def test_an_old_set_and_the_slices_it_lacks_are_told(store: Store, golden: GoldenDataset) -> None:
    later = NOON + timedelta(days=120)
    names = ["rare [red]\x1b", *["refunds"] * 19]
    store.interactions.add(
        an_interaction(f"Refund of {n}?", tags={"intent": name}, started_at=later) for n, name in enumerate(names)
    )

    health = golden.health(store, now=lambda: later + timedelta(days=1))

    assert health.older_share == 1
    assert set(health.lacking) == {"refunds", "rare [red]\x1b"}
    told = "\n".join(health.notes)
    assert "100% of the questions were asked more than 90 days ago" in told
    assert "refunds" in told
    assert "\x1b" not in told


def test_leaks_are_found_word_for_word_and_nearly_so(store: Store, golden: GoldenDataset, tmp_path: Path) -> None:
    long = "Please tell me whether the parcel that I sent to my sister on Monday has arrived in the meantime"
    asked = [item.prompt for item in golden.items[:2]]
    grown = grow(store, POLICY, brought=read_items([{"question": long}, {"question": "Something nobody learned"}])).dataset
    assert grown is not None

    trained_on(store, tmp_path / "set", asked[0].upper(), long + "?", "Another matter altogether")

    leaks = {leak.item_id: leak for leak in grown.health(store).leaks}
    assert Counter(leak.how for leak in leaks.values()) == {"the same question": 1, "nearly the same question": 1}
    assert leaks[golden.items[0].interaction_id].interaction_id == "trained-0"
    assert {leak.dataset for leak in leaks.values()} == {"support_training_v3"}


def test_a_training_set_whose_files_are_gone_is_said_to_be_unknown(store: Store, golden: GoldenDataset, tmp_path: Path) -> None:
    trained_on(store, tmp_path / "set", golden.items[0].prompt)
    (tmp_path / "set" / "examples.parquet").unlink()

    found = leakage_of(store, "support", golden.items)

    assert (found.leaks, found.unread) == ({}, ("support_training_v3",))
    assert "files are gone" in "\n".join(golden.health(store).notes)


def test_uses_are_counted_by_candidate_and_a_set_that_shares_the_questions_inherits_them(
    store: Store, golden: GoldenDataset
) -> None:
    ids = [item.interaction_id for item in golden]
    for n in range(12):
        model = Checkpoint(task="support", version=n + 1, base_model="b", uri="u", dataset_id="d")
        store.golden_uses.claim("support", golden.fingerprint, ids, model.id, "production", lambda: NOON)
    grown = grow(store, POLICY, brought=read_items([{"question": "One more?"}])).dataset
    assert grown is not None

    health = grown.health(store)

    assert (health.uses, health.last_used_at) == (12, NOON)
    assert health.next_level == pytest.approx(0.05 * 6 / (3.14159265 * 13) ** 2)
    assert any("12 candidates were measured" in note for note in health.notes)


def test_the_health_of_a_set_that_was_brought_from_elsewhere_needs_no_task(store: Store, tmp_path: Path) -> None:
    brought = GoldenDataset.from_items("elsewhere", [{"question": "One?"}, {"question": "Two?"}])

    health = GoldenDataset.load(brought.save(tmp_path / "copy")).health(store)

    assert (health.items, health.own, health.median_age_days, health.slices) == (2, 2, None, ())


def test_an_altered_version_is_refused_before_it_grows(store: Store, golden: GoldenDataset) -> None:
    record = store.datasets.get(golden.name)
    assert record is not None
    rows = Path(record.uri) / "golden.parquet"
    rows.write_bytes(rows.read_bytes().replace(b"parcels", b"parcelz"))

    for attempt in (lambda: GoldenDataset.load(golden.name), lambda: GoldenDataset.from_task("support")):
        with pytest.raises(StoreError, match=r"golden\.parquet is not what was written"):
            attempt()
