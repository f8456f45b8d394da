"""Erasure in golden files: the words go, the hash stays, what is left still verifies, and nothing else passes for an erasure."""

import json
import logging
from pathlib import Path

import polars
import pytest

from continuum.errors import StoreError
from continuum.policy import JudgePolicy, SplitPolicy, TaskPolicy
from continuum.splits import golden_files
from continuum.splits.golden import GoldenDataset
from continuum.splits.golden_erasure import erase_from_golden, take_out
from continuum.splits.golden_growth import grow, hold_out
from continuum.splits.own_items import read_items
from continuum.store.database import Store
from continuum.store.retention import erase
from tests.builders import an_interaction, interactions

POLICY = TaskPolicy(task="support", judge=JudgePolicy(model="gpt-4"), splits=SplitPolicy(golden=0.5))
SECRET = "my account is DE89 3704 0044"  # noqa: S105 - what somebody said


def asked(folder: Path) -> str:
    """All that is asked in the rows of a folder, whatever their file is called."""
    return "\n".join(
        text for path in folder.glob("*.parquet") for text in polars.read_parquet(path, columns=["messages"])["messages"]
    )


@pytest.fixture
def versions(store: Store) -> list[GoldenDataset]:
    """Two versions that both hold the question of the interaction `secret`, and one that was brought."""
    store.tasks.register(POLICY)
    store.interactions.add(interactions(40))
    number = 0
    while not (first := hold_out(store, POLICY)) or "secret" not in {item.interaction_id for item in first}:
        # Chance decides on which side a question is.
        erase(store, ["secret"])
        store.interactions.add([an_interaction(f"{SECRET} {number}", id="secret", conversation_id=f"c{number}")])
        number += 1
        assert number < 40
    first = grow(store, POLICY, brought=read_items([{"question": "Do you ship?"}])).dataset
    store.interactions.add(interactions(80)[40:])
    second = hold_out(store, POLICY)
    assert first is not None
    assert second is not None
    assert second.version > first.version
    return [first, second]


def test_an_erased_question_leaves_every_version_and_what_is_left_still_verifies(
    store: Store, home: Path, versions: list[GoldenDataset]
) -> None:
    folders = [home / "datasets" / "support" / one.name for one in versions]
    assert all(SECRET in asked(folder) for folder in folders)
    erase(store, ["secret"])

    taken = erase_from_golden(store, "support")

    assert taken >= 2
    for before, folder in zip(versions, folders, strict=True):
        assert SECRET not in asked(folder)
        assert len(list(folder.iterdir())) == 2
        after = GoldenDataset.load(before.name, store=store)
        assert after.items == tuple(item for item in before if item.interaction_id != "secret")
        assert (after.fingerprint, after.manifest) == (before.fingerprint, before.manifest)
    assert erase_from_golden(store, "support") == 0


def test_a_second_erasure_and_a_new_version_follow(store: Store, home: Path, versions: list[GoldenDataset]) -> None:
    other = next(item.interaction_id for item in versions[0] if not item.own and item.interaction_id != "secret")
    for one in ("secret", other):
        erase(store, [one])
        assert erase_from_golden(store, "support") > 0

    after = hold_out(store, POLICY)

    assert after is not None
    assert after.version > versions[1].version
    assert {"secret", other}.isdisjoint(item.interaction_id for item in after)
    assert any(item.own for item in after)
    left = GoldenDataset.load(versions[0].name, store=store)
    assert len(left) == len(versions[0]) - 2


def test_what_is_imported_again_comes_back_into_the_files(store: Store, versions: list[GoldenDataset]) -> None:
    row = store.interactions.get("secret")
    assert row is not None
    erase(store, ["secret"])
    erase_from_golden(store, "support")
    store.interactions.add([row])
    with pytest.raises(StoreError, match="'secret' was not, or is in the store again; let it grow"):
        GoldenDataset.load(versions[1].name, store=store)

    again = hold_out(store, POLICY)

    assert again is not None
    assert "secret" in {item.interaction_id for item in again}
    assert GoldenDataset.load(again.name, store=store) == again


def test_an_item_that_nobody_erased_cannot_be_taken_out(store: Store, home: Path, versions: list[GoldenDataset]) -> None:
    folder = home / "datasets" / "support" / versions[1].name
    take_out(folder, {versions[1].items[0].interaction_id})

    with pytest.raises(StoreError, match="was not, or is in the store again"):
        GoldenDataset.latest("support", store=store)


def test_an_item_that_is_altered_does_not_pass_for_what_an_erasure_left(
    store: Store, home: Path, versions: list[GoldenDataset]
) -> None:
    folder = home / "datasets" / "support" / versions[1].name
    erase(store, ["secret"])
    written = golden_files.read_version(folder)
    left = [item for item in written.items if item.interaction_id != "secret"]
    left[0] = left[0].model_copy(update={"slice": "easy"})
    golden_files.write_left(folder, left, written.manifest, ["secret"])

    with pytest.raises(StoreError, match="holds other items than an erasure of 1 left"):
        GoldenDataset.latest("support", store=store)


def test_a_killed_erasure_is_finished_by_the_next(
    store: Store, home: Path, versions: list[GoldenDataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / "datasets" / "support" / versions[1].name
    erase(store, ["secret"])
    with monkeypatch.context() as killed:
        killed.setattr(golden_files, "remove_strays", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            take_out(folder, {"secret"})
    assert SECRET in asked(folder)
    assert "secret" not in {item.interaction_id for item in GoldenDataset.load(versions[1].name, store=store)}

    erase_from_golden(store, "support")

    assert SECRET not in asked(folder)


def test_a_copy_of_what_is_left_is_a_set_of_its_own(store: Store, tmp_path: Path, versions: list[GoldenDataset]) -> None:
    erase(store, ["secret"])
    erase_from_golden(store, "support")
    left = GoldenDataset.load(versions[1].name, store=store)

    copy = GoldenDataset.load(left.save(tmp_path / "copy"))

    assert copy.items == left.items
    assert copy.fingerprint != left.fingerprint
    assert copy.manifest["left_of"] == left.fingerprint
    folder = GoldenDataset.load(store.datasets.get(left.name).uri + "/")  # pyright: ignore[reportOptionalMemberAccess]
    assert folder.fingerprint == copy.fingerprint


def test_a_part_that_a_proof_keeps_is_reached_too(store: Store, home: Path, versions: list[GoldenDataset]) -> None:
    from continuum.provenance.proving import keep_golden

    part = next(one for one in versions[1].split() if "secret" in {item.interaction_id for item in one})
    folder = Path(keep_golden(part))
    erase(store, ["secret"])

    erase_from_golden(store, "support")

    assert SECRET not in asked(folder)
    assert len(GoldenDataset.load(folder)) == len(part) - 1


def test_a_version_from_before_items_had_hashes_is_reached_too(store: Store, home: Path, versions: list[GoldenDataset]) -> None:
    folder = home / "datasets" / "support" / versions[1].name
    manifest = {name: value for name, value in versions[1].manifest.items() if name != "item_hashes"}
    golden_files.write_golden(folder, versions[1].items, manifest)
    erase(store, ["secret"])

    erase_from_golden(store, "support")

    assert SECRET not in asked(folder)
    assert len(golden_files.read_version(folder, manifest).items) == len(versions[1]) - 1


def test_a_folder_that_was_altered_is_named_and_the_others_are_reached(
    store: Store, home: Path, versions: list[GoldenDataset], caplog: pytest.LogCaptureFixture
) -> None:
    folders = [home / "datasets" / "support" / one.name for one in versions]
    (folders[0] / "manifest.json").write_text(json.dumps({}), encoding="utf-8")
    erase(store, ["secret"])

    with caplog.at_level(logging.WARNING):
        erase_from_golden(store, "support")

    assert SECRET not in asked(folders[1])
    assert str(folders[0]) in caplog.text
