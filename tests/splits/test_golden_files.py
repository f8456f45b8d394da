"""What lies on the disk: read back as it was written, refused by name where it was altered, and old versions as before."""

import json
from pathlib import Path
from random import Random
from typing import Any

import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from continuum.errors import ConfigurationError, StoreError
from continuum.records import DatasetRecord, FunctionCall, Message, ToolCall
from continuum.splits.checkers import Checker
from continuum.splits.golden import GoldenDataset
from continuum.splits.golden_items import WRITTEN, GoldenItem, described, fingerprint_of
from continuum.store.database import Store
from tests.builders import NOON, assistant, user

CALL = Message(role="assistant", content=None, tool_calls=(ToolCall(id="1", function=FunctionCall(name="find", arguments="{}")),))
ITEMS = (
    GoldenItem(interaction_id="a", messages=(user("Where?"),), group="a", reference=CALL, asked_at=NOON, slice="orders", lot="a"),
    GoldenItem(
        interaction_id="b",
        messages=(Message(role="system", content="Be kind."), user("Grüße 😀")),
        production=assistant("Hallo"),
        group="a",
        kind="alignment",
        checker=Checker.model_validate({"json": ["x"], "lacks": "y"}),
        confirmed=True,
    ),
)
OLD_FINGERPRINT = "044eafd638e97a8858fcd4f8cdd264faa2c5fe3341992bc8c28ac0bc00ba01ad"
"""What the first release of golden datasets called the version of `an_old_version`."""


def a_set(*items: GoldenItem, **fields: Any) -> GoldenDataset:
    chosen = items or ITEMS
    fingerprint = fingerprint_of("support", chosen)
    identity = {"name": "support_golden_v2", "task": "support", "version": 2, "fingerprint": fingerprint, "format": 2}
    return GoldenDataset("support_golden_v2", "support", 2, fingerprint, chosen, described(chosen) | identity | fields)


def an_old_version(folder: Path) -> dict[str, Any]:
    """The files as they were before items had slices, kinds and checkers."""
    folder.mkdir(parents=True)
    rows = [
        {
            "interaction_id": "a",
            "messages": json.dumps([{"role": "user", "content": "Where is my order?"}]),
            "reference": json.dumps({"role": "assistant", "content": "On its way."}),
            "production": json.dumps({"role": "assistant", "content": "No idea."}),
            "group": "a",
            "intent": "orders",
        },
        {
            "interaction_id": "b",
            "messages": json.dumps([{"role": "user", "content": "Grüße 😀"}]),
            "reference": None,
            "production": None,
            "group": "a",
            "intent": None,
        },
    ]
    polars.DataFrame(rows, schema=dict.fromkeys(rows[0], polars.String)).write_parquet(folder / "golden.parquet")
    identity = {"name": "support_golden_v1", "version": 1, "kind": "golden", "task": "support", "fingerprint": OLD_FINGERPRINT}
    manifest = {"items": 2, "with_reference": 1, "groups": 1, "golden_side": 2, "splits": {"golden": 0.2}, **identity}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True), encoding="utf-8")
    return manifest


@pytest.mark.parametrize("bad", ["\x00", "\ud800"], ids=["nul", "surrogate"])
@pytest.mark.parametrize(
    "fields",
    [
        lambda bad: {"messages": (user(f"Where{bad}?"),)},
        lambda bad: {"messages": (Message.model_validate({"role": "user", "content": "Where?", "name": [bad]}),)},
        lambda bad: {"reference": assistant(bad)},
        lambda bad: {"slice": f"orders{bad}"},
        lambda bad: {"group": bad},
        lambda bad: {"interaction_id": bad},
        lambda bad: {"checker": Checker.model_validate({"contains": f"y{bad}"})},
    ],
)
def test_an_item_with_text_that_a_store_would_refuse_is_refused_at_the_door(bad: str, fields: Any) -> None:
    with pytest.raises(ValidationError, match=r"NUL or half a surrogate pair in its .*, which Postgres"):
        GoldenItem(**({"interaction_id": "a", "messages": (user("Where?"),), "group": "a"} | fields(bad)))


def test_a_version_from_before_such_text_was_refused_is_read_as_it_stands(tmp_path: Path) -> None:
    fields = {"interaction_id": "a", "messages": (user("Where\x00?"),), "group": "a"}
    before = GoldenItem.model_validate(fields, context={WRITTEN: True})

    assert GoldenDataset.load(a_set(before).save(tmp_path / "copy")).items == (before,)


def test_what_is_saved_is_loaded_as_it_was(tmp_path: Path) -> None:
    golden = a_set()

    folder = golden.save(tmp_path / "copy")

    assert GoldenDataset.load(folder) == golden
    assert GoldenDataset.load(str(folder)).items == ITEMS


def test_a_part_is_saved_and_loaded_as_the_part_it_is(tmp_path: Path) -> None:
    items = [GoldenItem(interaction_id=f"i{n:02}", messages=(user(f"Question {n}?"),), group=f"g{n // 2}") for n in range(20)]
    dev, test = a_set(*items).split()

    assert GoldenDataset.load(dev.save(tmp_path / "dev")) == dev
    assert (dev.part, test.part) == ("dev", "test")


def test_an_old_version_loads_under_its_old_fingerprint_with_its_intents_as_slices(store: Store, tmp_path: Path) -> None:
    manifest = an_old_version(tmp_path / "old")
    fields = {"id": OLD_FINGERPRINT, "task": "support", "kind": "golden", "name": "support_golden_v1", "version": 1}
    record = DatasetRecord.model_validate({**fields, "uri": str(tmp_path / "old"), "manifest": manifest})
    store.datasets.add(record, [])

    golden = GoldenDataset.load("support_golden_v1", store=store)

    assert golden.fingerprint == OLD_FINGERPRINT
    assert [(item.slice, item.kind, item.checker, item.asked_at) for item in golden] == [
        ("orders", "task", None, None),
        (None, "task", None, None),
    ]
    assert GoldenDataset.load(tmp_path / "old").items == golden.items


def test_an_old_version_whose_items_were_altered_is_refused(tmp_path: Path) -> None:
    an_old_version(tmp_path / "old")
    rows = tmp_path / "old" / "golden.parquet"
    polars.read_parquet(rows).with_columns(reference=polars.lit('{"role": "assistant", "content": "Yes."}')).write_parquet(rows)

    with pytest.raises(StoreError, match=r"golden\.parquet is not what was written"):
        GoldenDataset.load(tmp_path / "old")


@pytest.mark.parametrize("name", ["golden.parquet", "manifest.json"])
def test_any_byte_that_is_flipped_is_refused_with_the_name_of_the_file(tmp_path: Path, name: str) -> None:
    folder = a_set().save(tmp_path / "copy")
    path, draw = folder / name, Random(7)
    written = path.read_bytes()

    for _ in range(150):
        flipped = bytearray(written)
        flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(flipped))
        with pytest.raises(StoreError, match=name.replace(".", r"\.")):
            GoldenDataset.load(folder)

    path.write_bytes(written)
    assert GoldenDataset.load(folder) == a_set()


def test_a_dev_part_cannot_be_passed_off_as_a_whole_set(tmp_path: Path) -> None:
    items = [GoldenItem(interaction_id=f"i{n:02}", messages=(user(f"Question {n}?"),), group=f"g{n}") for n in range(20)]
    folder = a_set(*items).split()[0].save(tmp_path / "dev")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for left_out in ({"part"}, {"part", "seal"}, {"part", "seal", "format", "files"}):
        bare = {name: value for name, value in manifest.items() if name not in left_out}
        (folder / "manifest.json").write_text(json.dumps(bare, indent=2, sort_keys=True), encoding="utf-8")

        with pytest.raises(StoreError):
            GoldenDataset.load(folder)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"format": "2"}', '{"format": 3}', "[" * 100_000])
def test_a_manifest_that_is_none_is_refused_by_name(tmp_path: Path, text: str) -> None:
    folder = a_set().save(tmp_path / "copy")
    (folder / "manifest.json").write_text(text, encoding="utf-8")

    with pytest.raises(StoreError, match=r"manifest\.json|golden\.parquet"):
        GoldenDataset.load(folder)


def test_nothing_is_written_over_and_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = a_set().save(tmp_path / "copy")

    with pytest.raises(ConfigurationError, match="nothing is written over"):
        a_set().save(folder)
    with pytest.raises(ConfigurationError, match="no folder"):
        GoldenDataset.load(tmp_path / "elsewhere")


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
MESSAGE = st.builds(Message, role=st.sampled_from(["user", "tool"]), content=TEXT | st.none())
ITEM = st.builds(
    GoldenItem,
    interaction_id=st.uuids().map(str),
    messages=st.lists(st.builds(Message, role=st.sampled_from(["user", "tool"]), content=TEXT | st.none()), min_size=1).map(
        tuple
    ),
    reference=st.none() | TEXT.map(assistant),
    production=st.none() | st.just(CALL),
    group=TEXT,
    lot=st.none() | TEXT,
    slice=st.none() | TEXT,
    kind=st.sampled_from(["task", "capability", "alignment"]),
    asked_at=st.none() | st.just(NOON),
    confirmed=st.booleans(),
)


@settings(max_examples=40)
@given(st.lists(ITEM, min_size=1, max_size=4, unique_by=lambda item: item.interaction_id))
def test_any_items_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, items: list[GoldenItem]) -> None:
    golden = a_set(*sorted(items, key=lambda item: item.interaction_id))

    assert GoldenDataset.load(golden.save(tmp_path_factory.mktemp("any") / "copy")) == golden
