from dataclasses import replace

import pytest

from continuum.guard.kept_pairs import item_rows
from continuum.guard.pairs import Arm, Gate
from continuum.guard.reading import label_of
from continuum.guard.slices import parts_of, slice_pairs
from continuum.records import Message
from continuum.splits.golden import GoldenItem


def item(n: int, part: str | None, group: str | None = None) -> GoldenItem:
    question = (Message(role="user", content=f"question {n}"),)
    return GoldenItem(interaction_id=f"i{n}", messages=question, group=group or f"g{n}", slice=part)


def items(**sizes: int) -> list[GoldenItem]:
    """So many items of each slice; `none` have none."""
    parts = [None if name == "none" else name for name, size in sizes.items() for _ in range(size)]
    return [item(n, part) for n, part in enumerate(parts)]


def arm(scores: list[float | None]) -> Arm:
    return Arm("m", "m", (None,) * len(scores), {"helpfulness": scores})


def named(asked: list[GoldenItem]) -> dict[str, int]:
    return {name: len(chosen) for name, chosen in parts_of(asked, 30).items()}


def test_slices_of_too_few_groups_are_one_part_with_what_has_no_slice() -> None:
    assert named(items(refunds=31, billing=40, legal=5, greetings=3, none=4)) == {"billing": 40, "refunds": 31, "other": 12}


@pytest.mark.parametrize("asked", [items(billing=60), items(none=60), items(billing=20, legal=25)])
def test_what_is_all_there_is_is_no_slice(asked: list[GoldenItem]) -> None:
    assert parts_of(asked, 30) == {}


def test_a_slice_is_counted_in_groups() -> None:
    chatty = [item(n, "billing", group=f"g{n // 2}") for n in range(50)]

    assert named([*chatty, *(item(n, "legal") for n in range(100, 130))]) == {"legal": 30, "other": 50}


def test_a_slice_called_other_is_pooled() -> None:
    assert named(items(other=40, billing=40)) == {"billing": 40, "other": 40}


@pytest.mark.parametrize("name", ["\x1b[31mbill\ring", " \u202ebill  ing ", "bill\x07ing"])
def test_what_cannot_be_shown_in_a_slices_name_is_left_out_before_anything_is_called_by_it(name: str) -> None:
    asked = [item(n, name if n < 40 else "legal") for n in range(80)]

    pairs = slice_pairs(["helpfulness"], asked, arm([0.5] * 80), arm([0.5] * 80), minimum=30)

    seen = {"billing", "bill ing"}
    (billing,) = (pair for pair in pairs if pair.part in seen)
    assert label_of(billing.metric, billing.gate, billing.part) == f"{billing.part}: helpfulness"
    assert item_rows(asked, arm([0.5] * 80), arm([0.5] * 80), ["helpfulness"])[0]["slice"] in seen


def test_a_long_name_hides_no_metric() -> None:
    assert label_of(f"helpfulness@{'x' * 200}", Gate.SLICE, "x" * 200).endswith(": helpfulness")


def test_each_metric_is_paired_on_each_slice_and_what_has_no_score_is_counted_there() -> None:
    asked = items(billing=40, legal=35)
    after: list[float | None] = [0.5] * 75
    after[0] = None
    pairs = slice_pairs(["helpfulness"], asked, arm([0.5] * 75), arm(after), minimum=30, people={"helpfulness": [0.1] * 75})

    billing, legal = pairs
    assert (billing.metric, billing.gate, billing.part, billing.dropped) == ("helpfulness@billing", Gate.SLICE, "billing", 1)
    assert (legal.metric, len(legal.groups), legal.people) == ("helpfulness@legal", 35, (0.1,) * 35)


def test_a_slice_that_nobody_scored_stays_there_empty() -> None:
    asked = items(billing=40, legal=35)
    after: list[float | None] = [None] * 40 + [0.5] * 35
    billing, _ = slice_pairs(["helpfulness"], asked, arm([0.5] * 75), arm(after), minimum=30)

    assert (billing.groups, billing.eligible) == ((), 40)


def test_a_metric_that_fits_no_item_of_a_slice_is_not_asked_of_it() -> None:
    asked = items(billing=40, legal=35)
    reference = Message(role="assistant", content="so")
    asked = [replace_reference(one, reference) if one.slice == "legal" else one for one in asked]
    scores = replace(arm([0.5] * 75), scores={"action_match": [None] * 40 + [1.0] * 35})

    assert [pair.metric for pair in slice_pairs(["action_match"], asked, scores, scores, minimum=30)] == ["action_match@legal"]


def replace_reference(one: GoldenItem, reference: Message) -> GoldenItem:
    return one.model_copy(update={"reference": reference})
