"""However the data grows, nothing that was put on a side is found on the other one later."""

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.policy import SplitPolicy, TaskPolicy
from continuum.records import Interaction
from continuum.splits.sides import Side, Sides, assign_sides, draw_of, task_sides
from continuum.store.database import Store, open_store
from continuum.store.retention import erase
from tests.builders import NOON, an_interaction, assistant, interactions, user
from tests.splits.test_sides import drawn_row

HALF = SplitPolicy(golden=0.4, validation=0.1, opening_cap=3)
TURNS = (
    "Hello",
    "Is it open?",
    "Two tickets",
    "Where is Bonn?",
    "My order 4711",
    "My order 4712",
    "I want a refund",
    "I want refund",
)
LONG = "I would like to have the second payment for my last order returned please"


@st.composite
def arrivals(draw: st.DrawFn) -> list[list[Interaction]]:
    """Cycles of dialogues over few turns, people and conversations, that meet, merge, outgrow the cap and come late."""
    turns = (*TURNS, LONG, LONG.replace("payment", "paymnet"))
    cycles: list[list[Interaction]] = []
    for size in draw(st.lists(st.integers(1, 9), min_size=2, max_size=6)):
        begin = sum(map(len, cycles))
        # Whatever came before may be older or younger: old logs are imported.
        cycles.append([drawn_row(draw, number, turns) for number in range(begin, begin + size)])
    return cycles


def decided(rows: list[Interaction], memory: dict[str, Side], measured: set[str], trained: set[str]) -> Sides:
    sides = assign_sides(rows, HALF, golden_ids=measured, trained_ids=trained, remembered=memory)
    memory.update(sides.decided)
    return sides


def shares_a_beginning(left: Interaction, right: Interaction, rows: list[Interaction]) -> bool:
    """Whether both begin alike from the first user turn on, further than what more than the cap begin with."""
    together = 0
    for ours, theirs in zip(left.messages, right.messages, strict=False):
        if ours != theirs:
            break
        together += 1
    beginning = left.messages[:together]
    return together > 0 and sum(row.messages[:together] == beginning for row in rows) <= HALF.opening_cap


@pytest.mark.slow
@settings(max_examples=60)
@given(arrivals(), st.data())
def test_no_interaction_changes_its_side_and_none_is_tied_to_the_other(
    cycles: list[list[Interaction]], data: st.DataObject
) -> None:
    rows: list[Interaction] = []
    memory: dict[str, Side] = {}
    measured: set[str] = set()
    trained: set[str] = set()
    before: dict[str, Side] = {}
    for cycle in cycles:
        rows += cycle
        sides = decided(rows, memory, measured, trained)
        for one, side in before.items():
            assert sides.side[one] == memory[one] or sides.side[one] == "quarantined"
            assert side == "quarantined" or sides.side[one] in (side, "quarantined")
        assert measured <= set(sides.ids("golden"))
        assert trained.isdisjoint(sides.ids("golden"))
        assert set(sides.report.crossings.values()) == {0}
        # A golden dataset or a training set takes some of its side, not all of it.
        measured |= set(data.draw(st.lists(st.sampled_from(sides.ids("golden") or [""]), max_size=5))) - {""}
        trained |= set(data.draw(st.lists(st.sampled_from(sides.ids("train") or [""]), max_size=5))) - {""}
        before = sides.side


@settings(max_examples=15)
@given(arrivals())
def test_no_dialogue_of_one_side_begins_as_one_of_the_other(cycles: list[list[Interaction]]) -> None:
    rows: list[Interaction] = []
    memory: dict[str, Side] = {}
    for cycle in cycles:
        rows += cycle
        decided(rows, memory, set(), set())

    sides = decided(rows, memory, set(), set())
    by_id = {row.id: row for row in rows}
    for golden in map(by_id.__getitem__, sides.ids("golden")):
        for other in map(by_id.__getitem__, [*sides.ids("train"), *sides.ids("validation")]):
            assert golden.messages != other.messages
            assert not shares_a_beginning(golden, other, rows)


@settings(max_examples=15)
@given(arrivals(), st.randoms(use_true_random=False))
def test_deciding_again_decides_nothing_new_whatever_the_order(cycles: list[list[Interaction]], random: Random) -> None:
    rows: list[Interaction] = []
    memory: dict[str, Side] = {}
    for cycle in cycles[:-1]:
        rows += cycle
        decided(rows, memory, set(), set())
    rows += cycles[-1]
    first = decided(rows, memory, set(), set())

    again = decided(random.sample(rows, len(rows)), memory, set(), set())

    assert not again.decided
    assert again == first


@settings(max_examples=15)
@given(arrivals(), st.data())
def test_what_is_deleted_moves_nothing_that_stays(cycles: list[list[Interaction]], data: st.DataObject) -> None:
    rows: list[Interaction] = []
    memory: dict[str, Side] = {}
    for cycle in cycles:
        gone = set(data.draw(st.lists(st.sampled_from([row.id for row in rows] or [""]), max_size=6)))
        rows = [row for row in rows if row.id not in gone] + cycle
        known: dict[str, Side] = {one: side for one, side in memory.items() if one not in gone}
        sides = decided(rows, known, set(), set())
        assert all(sides.side[row.id] in (memory.get(row.id, sides.side[row.id]), "quarantined") for row in rows)
        assert sides.report.crossings["context"] == sides.report.crossings["beginning"] == 0
        memory = known


def test_an_old_log_that_becomes_the_earliest_member_of_a_group_does_not_move_it() -> None:
    rows = [an_interaction(f"Question {n}?", id=f"new-{n}", conversation_id=f"c{n}") for n in range(40)]
    old = [
        an_interaction(f"Earlier question {n}?", id=f"old-{n}", conversation_id=f"c{n}", started_at=NOON - timedelta(days=9))
        for n in range(40)
    ]
    memory: dict[str, Side] = {}
    before = decided(rows, memory, set(), set())

    after = decided([*rows, *old], memory, set(), set())

    assert all(after.side[row.id] == before.side[row.id] for row in rows)
    assert all(after.side[f"old-{n}"] == before.side[f"new-{n}"] for n in range(40))


def test_an_opening_and_a_user_that_become_common_move_nobody() -> None:
    def dialogue(n: int) -> Interaction:
        said = (user("Hello"), assistant("Hi!"), user(f"About {chr(97 + n) * 8}, please"))
        return an_interaction(id=f"row-{n:02}", messages=said, user_id="kiosk")

    rows = [dialogue(n) for n in range(20)]
    memory: dict[str, Side] = {}
    few = decided(rows[:3], memory, set(), set())
    many = decided(rows, memory, set(), set())

    assert all(many.side[row.id] == few.side[row.id] for row in rows[:3])
    assert {many.side[row.id] for row in rows} >= {"golden", "train"}
    assert many.report.refused == {"user": 1}


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, store: Store) -> Store:
    return store if request.param == "sqlite" else open_store(request.getfixturevalue("postgres_url"))


def test_the_store_remembers_what_was_decided_and_forgets_what_is_erased(database: Store) -> None:
    policy = TaskPolicy(task="support", splits=HALF)
    rows = interactions(40)
    database.tasks.register(policy)
    database.interactions.add(rows)

    first = task_sides(database, policy)

    assert database.sides.of("support", draw_of(HALF)) == first.side
    assert task_sides(database, policy) == first
    erase(database, [rows[0].id])
    assert set(database.sides.of("support", draw_of(HALF))) == {row.id for row in rows[1:]}
    database.drop_task("support")
    assert database.sides.of("support", draw_of(HALF)) == {}
    database.close()


def test_who_decides_at_the_same_time_as_another_decides_again(store: Store) -> None:
    draw = draw_of(HALF)

    assert store.sides.remember("support", draw, {"a": "golden"}, known=0)
    assert not store.sides.remember("support", draw, {"a": "train", "b": "train"}, known=0)
    assert store.sides.remember("support", draw, {"a": "train", "b": "train"}, known=1)
    assert store.sides.of("support", draw) == {"a": "golden", "b": "train"}


def test_other_shares_are_another_draw_that_still_respects_what_was_measured_and_learned(store: Store) -> None:
    policy = TaskPolicy(task="support", splits=SplitPolicy(golden=0))
    store.interactions.add(interactions(60))
    assert set(task_sides(store, policy).report.by_side) == {"train", "validation"}

    other = task_sides(store, policy.model_copy(update={"splits": SplitPolicy(golden=0.5)}))

    assert other.report.by_side["golden"] > 15
