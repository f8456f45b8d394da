from collections import defaultdict
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.policy import SplitPolicy
from continuum.records import Interaction
from continuum.splits.sides import Sides, assign_sides, unit_hash
from tests.builders import NOON, an_interaction, assistant, interactions, user

HALF = SplitPolicy(golden=0.4, validation=0.1, opening_cap=3)

TURNS = ("Hello", "Is it open?", "Two tickets", "Where is Bonn?", "My order 4711", "My order 4712", "I want a refund")


def sides_of(rows: list[Interaction], golden: set[str] | None = None, trained: set[str] | None = None) -> Sides:
    return assign_sides(rows, HALF, golden_ids=golden or set(), trained_ids=trained or set())


def drawn_row(draw: st.DrawFn, number: int, turns: tuple[str, ...]) -> Interaction:
    """One interaction over few turns, people and conversations, so that groups meet, merge and outgrow the cap; at any time."""
    asked = draw(st.lists(st.sampled_from(turns), min_size=1, max_size=3))
    messages = [message for turn in asked for message in (user(turn), assistant(f"About {turn}"))][:-1]
    return an_interaction(
        id=f"row-{number:02}",
        messages=tuple(messages),
        conversation_id=draw(st.sampled_from([None, "c1", "c2", "c3"])),
        user_id=draw(st.sampled_from([None, None, "ann", "bob"])),
        started_at=NOON + timedelta(minutes=draw(st.integers(0, 50))),
    )


@st.composite
def traffic(draw: st.DrawFn) -> list[Interaction]:
    """Rows that came at different times."""
    return [drawn_row(draw, number, TURNS) for number in range(draw(st.integers(1, 25)))]


@settings(max_examples=20)
@given(traffic(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows: list[Interaction], random) -> None:
    shuffled = random.sample(rows, len(rows))

    assert sides_of(shuffled) == sides_of(rows)


@settings(max_examples=20)
@given(traffic())
def test_no_group_is_on_two_sides(rows: list[Interaction]) -> None:
    sides = sides_of(rows)

    by_group = defaultdict(set)
    for interaction_id, group in sides.group.items():
        by_group[group].add(sides.side[interaction_id])
    assert set(sides.side) == {row.id for row in rows}
    assert all(len(found) == 1 for found in by_group.values())


@settings(max_examples=30)
@given(traffic())
def test_no_training_row_is_the_beginning_of_a_golden_dialogue_or_goes_on_from_one(rows: list[Interaction]) -> None:
    sides = sides_of(rows)
    spoken = {row.id: [message.text for message in row.messages] for row in rows}

    for golden in sides.ids("golden"):
        for other in [*sides.ids("train"), *sides.ids("validation")]:
            shared = min(len(spoken[golden]), len(spoken[other]))
            assert spoken[golden][:shared] != spoken[other][:shared]


@pytest.mark.slow
@settings(max_examples=25)
@given(traffic(), st.lists(st.integers(1, 25), min_size=1, max_size=4), st.data())
def test_growth_never_trains_on_what_was_measured_nor_measures_what_was_trained_on(
    rows: list[Interaction], steps: list[int], data: st.DataObject
) -> None:
    measured: set[str] = set()
    trained: set[str] = set()
    for end in sorted(min(step, len(rows)) for step in steps):
        sides = sides_of(rows[:end], measured, trained)
        assert measured <= set(sides.ids("golden"))
        assert trained.isdisjoint(sides.ids("golden"))
        groups_measured = {sides.group[one] for one in measured}
        for one in [*sides.ids("train"), *sides.ids("validation")]:
            assert sides.group[one] not in groups_measured
        # A golden dataset or a training set takes some of its side, not all of it.
        measured |= set(data.draw(st.lists(st.sampled_from(sides.ids("golden") or [""]), max_size=5))) - {""}
        trained |= set(data.draw(st.lists(st.sampled_from(sides.ids("train") or [""]), max_size=5))) - {""}


def test_more_traffic_leaves_every_group_on_its_side() -> None:
    rows = interactions(300)
    before, after = sides_of(rows[:150]), sides_of(rows)

    assert all(after.side[row.id] == before.side[row.id] for row in rows[:150])


def test_the_shares_are_those_of_the_policy() -> None:
    counts = sides_of(interactions(2000)).report.by_side

    assert abs(counts["golden"] / 2000 - 0.4) < 0.05
    assert abs(counts["validation"] / 2000 - 0.1) < 0.03


def test_a_larger_golden_share_keeps_what_was_golden() -> None:
    rows = interactions(200)
    small = assign_sides(rows, SplitPolicy(golden=0.1), golden_ids=set(), trained_ids=set())
    large = assign_sides(rows, SplitPolicy(golden=0.3), golden_ids=set(), trained_ids=set())

    assert set(small.ids("golden")) < set(large.ids("golden"))


def test_another_salt_is_another_draw() -> None:
    rows = interactions(200)
    one, other = (assign_sides(rows, SplitPolicy(salt=salt), golden_ids=set(), trained_ids=set()) for salt in "ab")

    assert one.side != other.side


def test_the_hash_of_a_key_is_the_same_everywhere() -> None:
    assert unit_hash("continuum", "an opening") == 0.7446652601310971


def test_a_dialogue_that_ties_measured_and_trained_rows_together_is_trained_on_no_more() -> None:
    rows = [
        an_interaction("Is it open?", id="measured"),
        an_interaction("Two for Scream", id="trained"),
        an_interaction("Is it open?", id="bridge", conversation_id="one"),
        an_interaction("Two for Scream", id="bridge-2", conversation_id="one"),
    ]

    sides = sides_of(rows, golden={"measured"}, trained={"trained"})

    assert sides.side == {
        "measured": "golden",
        "trained": "train",
        "bridge": "golden",
        "bridge-2": "quarantined",
    }
    assert set(sides.report.crossings.values()) == {0}


def test_a_newcomer_that_shares_something_with_both_sides_is_on_neither() -> None:
    rows = [
        an_interaction("Is it open?", id="measured", user_id="ann"),
        an_interaction("Two for Scream", id="trained", conversation_id="one"),
        an_interaction("Is it open?", id="new", conversation_id="one"),
    ]

    sides = sides_of(rows, golden={"measured"}, trained={"trained"})

    assert sides.side == {"measured": "golden", "trained": "train", "new": "quarantined"}
    assert sides.decided["new"] == "quarantined"


def test_what_was_learned_shares_no_beginning_with_what_is_measured_even_where_a_cap_was_raised() -> None:
    rows = [
        an_interaction(id=f"row-{n}", messages=(user("Hello"), assistant("Hi!"), user(f"About {'xy'[n % 2] * 9}")))
        for n in range(8)
    ]
    ids = {row.id for row in rows}
    low, high = (SplitPolicy(golden=0.4, opening_cap=cap) for cap in (4, 8))
    measured, learned = {"row-0"}, {"row-1"}
    before = assign_sides(rows, low, golden_ids=measured, trained_ids=learned)
    assert set(before.ids("golden")) == {"row-0", "row-2", "row-4", "row-6"}

    after = assign_sides(rows, high, golden_ids=measured, trained_ids=learned, remembered=before.decided)

    assert set(after.ids("golden")) == set(before.ids("golden"))
    assert set(after.ids("quarantined")) == ids - set(before.ids("golden"))


def test_a_context_too_common_to_hold_out_is_reported_and_trained_on() -> None:
    crowd = [an_interaction("Hello", id=f"crowd-{n:02}") for n in range(30)]
    rows = [*crowd, *interactions(40)]
    for salt in "abcdef":
        policy = SplitPolicy(golden=0.5, salt=salt, opening_cap=5)

        sides = assign_sides(rows, policy, golden_ids=set(), trained_ids=set())

        assert sides.report.oversized_groups == {"crowd-00": 30}
        assert {sides.side[row.id] for row in crowd} == {"train"}


def test_a_conversation_that_everything_is_said_in_does_not_link_and_is_reported() -> None:
    crowd = [an_interaction(f"Question {n} of many", id=f"crowd-{n}", conversation_id="shared by all") for n in range(30)]

    sides = assign_sides(crowd, SplitPolicy(golden=0.5, opening_cap=5), golden_ids=set(), trained_ids=set())

    assert sides.report.refused == {"conversation": 1}
    assert set(sides.report.by_side) >= {"golden", "train"}
