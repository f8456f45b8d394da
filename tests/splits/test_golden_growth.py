"""How a golden dataset grows: by slices, with people's word where it is asked for, and never into what is trained on."""

import shutil
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum.annotation.labelling import Labelling
from continuum.errors import ConfigurationError, NotEnoughData, StoreError
from continuum.policy import JudgePolicy, SplitPolicy, TaskPolicy
from continuum.records import DatasetRecord, Feedback, Interaction
from continuum.splits.golden import GoldenDataset
from continuum.splits.golden_growth import ASKED_AT_ONCE, grow, hold_out
from continuum.splits.golden_items import GoldenItem
from continuum.splits.own_items import read_items
from continuum.splits.sides import task_sides
from continuum.splits.strata import stratified
from continuum.store.database import Store, open_store
from continuum.store.learning import DatasetItem
from continuum.store.retention import erase
from tests.builders import NOON, an_example, an_interaction, assistant, interactions, user
from tests.test_dataset import a_version

SALT = "continuum"


def a_policy(**splits: object) -> TaskPolicy:
    fields = {"golden": 0.5, "validation": 0.1, **splits}
    return TaskPolicy(task="support", judge=JudgePolicy(model="gpt-4"), splits=SplitPolicy.model_validate(fields))


def filled(store: Store, policy: TaskPolicy, count: int = 60, **fields: object) -> list[Interaction]:
    rows = interactions(count, **fields)
    store.tasks.register(policy)
    store.interactions.add(rows)
    return rows


def trained_on(store: Store, folder: Path, *questions: str) -> None:
    """A training set of the task with these questions, as a build would have left it."""
    rows = [an_example(question, interaction_id=f"trained-{n}") for n, question in enumerate(questions)]
    dataset = a_version(examples=rows, preferences=[], rated_answers=[], control=[], removed=[])
    path = dataset.write(folder)
    fields = {"id": dataset.fingerprint, "task": "support", "kind": "training", "name": dataset.name, "version": 3}
    record = DatasetRecord.model_validate({**fields, "uri": str(path), "manifest": dataset.manifest})
    store.datasets.add(record, [DatasetItem(interaction_id=one.interaction_id, split=one.split) for one in dataset])


def files_of(store: Store) -> str:
    newest = store.datasets.latest("support", "golden")
    assert newest is not None
    return newest.uri


def an_item(number: int, slice_: str | None, group: str | None = None) -> GoldenItem:
    name = f"{slice_}-{number}"
    return GoldenItem(interaction_id=name, messages=(user(name),), group=group or name, slice=slice_)


# --- from a task ------------------------------------------------------------------------------------------------------


def test_a_task_has_its_questions_held_out_with_what_is_known_of_each(store: Store) -> None:
    rows = filled(store, a_policy(), tags={"intent": "parcels"})

    golden = GoldenDataset.from_task("support")

    assert golden.name == "support_golden_v1"
    first = golden.items[0]
    asked = next(row for row in rows if row.id == first.interaction_id)
    assert (first.slice, first.kind, first.asked_at, first.confirmed) == ("parcels", "task", asked.started_at, False)
    assert golden.manifest["slices"] == {"parcels": len(golden)}


def test_a_task_without_anything_to_measure_says_what_is_missing(store: Store) -> None:
    policy = a_policy().model_copy(update={"judge": JudgePolicy()})
    filled(store, policy)

    with pytest.raises(NotEnoughData, match="let people score answers"):
        GoldenDataset.from_task("support")


def test_the_slice_is_the_tag_that_the_policy_names(store: Store) -> None:
    policy = TaskPolicy(**{**a_policy().model_dump(), "curation": {"intent_tag": "topic"}})
    filled(store, policy, tags={"intent": "x", "topic": "parcels"})

    assert {item.slice for item in GoldenDataset.from_task("support")} == {"parcels"}


# --- the draw ---------------------------------------------------------------------------------------------------------


def test_each_slice_has_its_share_and_a_rare_one_its_first_question_early() -> None:
    traffic = [an_item(n, "orders") for n in range(70)] + [an_item(n, "refunds") for n in range(20)]
    traffic += [an_item(n, None) for n in range(10)]

    drawn = stratified(traffic, [], traffic, 20, SALT)

    assert Counter(item.slice for item in drawn) == {"orders": 14, "refunds": 4, None: 2}
    assert {item.slice for item in drawn[:7]} == {"orders", "refunds", None}


def test_a_slice_that_has_more_than_its_share_waits_for_the_others() -> None:
    traffic = [an_item(n, "orders") for n in range(40)] + [an_item(n, "refunds") for n in range(40)]
    inside = traffic[:10]

    drawn = stratified(traffic[10:], inside, traffic, 10, SALT)

    assert {item.slice for item in drawn} == {"refunds"}


def test_one_question_of_each_dialogue_comes_before_the_second_of_any() -> None:
    traffic = [an_item(n, "orders", group=f"dialogue {n // 5}") for n in range(50)]

    drawn = stratified(traffic, [], traffic, 10, SALT)

    assert len({item.group for item in drawn}) == 10


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), min_size=1, max_size=40),
    st.integers(0, 45),
    st.randoms(use_true_random=False),
)
def test_the_draw_is_the_same_in_any_order_and_no_larger_than_the_room(
    kinds: list[tuple[str, int]], room: int, random: Random
) -> None:
    items = [an_item(n, slice_, group=f"g{group}") for n, (slice_, group) in enumerate(kinds)]

    drawn = stratified(items, [], items, room, SALT)

    assert len(drawn) == min(room, len(items))
    assert len({item.interaction_id for item in drawn}) == len(drawn)
    assert stratified(random.sample(items, len(items)), [], items, room, SALT) == drawn
    assert stratified(items, [], items, max(0, room - 1), SALT) == drawn[: max(0, room - 1)]


# --- growing ----------------------------------------------------------------------------------------------------------


def test_a_full_set_grows_by_the_share_of_what_came_since_and_a_refresh_by_what_is_asked_for(store: Store) -> None:
    policy = a_policy(max_golden=10)
    filled(store, policy, 80)
    full = GoldenDataset.from_task("support")
    later = [
        an_interaction(f"Refund of bill {n * 19} to {n * 23}?", id=f"new-{n}", tags={"intent": "refunds"}) for n in range(80)
    ]
    store.interactions.add(later)

    grown = GoldenDataset.from_task("support")
    refreshed = grown.refresh(5, since=None)

    assert len(full) == 10
    assert {item.interaction_id for item in full} < {item.interaction_id for item in grown}
    assert 4 <= grown.manifest["slices"]["refunds"] <= 6
    assert len(grown) == 10 + grown.manifest["slices"]["refunds"]
    assert len(refreshed) == len(grown) + 5
    assert GoldenDataset.from_task("support") == refreshed


def test_a_refresh_draws_from_what_was_asked_lately(store: Store) -> None:
    policy = a_policy(max_golden=10)
    filled(store, policy)
    first = GoldenDataset.from_task("support")
    spring = NOON + timedelta(days=200)
    late = [an_interaction(f"Is parcel {n * 11} in town {n * 17}?", id=f"late-{n}", started_at=spring) for n in range(40)]
    store.interactions.add(late)

    refreshed = first.refresh(4, now=lambda: NOON + timedelta(days=201))

    new = {item.interaction_id for item in refreshed} - {item.interaction_id for item in first}
    assert len(new) == 4
    assert new <= {row.id for row in late}


def test_a_question_that_was_trained_on_does_not_join(store: Store, tmp_path_factory: pytest.TempPathFactory) -> None:
    policy = a_policy(golden=0.9, validation=0)
    asked = "Could you please tell me when the parcel to my sister in town arrives"
    store.tasks.register(policy)
    store.interactions.add([an_interaction(asked, id="a"), *interactions(20)])
    before = grow(store, policy, size=0)
    trained_on(store, tmp_path_factory.mktemp("set") / "set", asked + "?")

    grown = grow(store, policy)

    assert before.dataset is None
    assert grown.dataset is not None
    assert "a" not in {item.interaction_id for item in grown.dataset}
    assert grown.left_out == {"trained on already, or nearly": 1}


def test_what_joined_stays_whatever_is_trained_on_later(store: Store, tmp_path_factory: pytest.TempPathFactory) -> None:
    policy = a_policy()
    filled(store, policy)
    golden = GoldenDataset.from_task("support")

    trained_on(store, tmp_path_factory.mktemp("set") / "set", golden.items[0].prompt)

    assert hold_out(store, policy) == golden


def test_an_erased_question_is_gone_from_the_next_version(store: Store) -> None:
    policy = a_policy()
    filled(store, policy)
    golden = GoldenDataset.from_task("support")
    erase(store, [golden.items[0].interaction_id])

    after = GoldenDataset.from_task("support")

    assert [item.interaction_id for item in after] == [item.interaction_id for item in golden.items[1:]]


def test_files_that_are_gone_are_written_anew_unless_somebody_brought_items(store: Store, tmp_path: Path) -> None:
    policy = a_policy()
    filled(store, policy)
    golden = GoldenDataset.from_task("support")
    shutil.rmtree(files_of(store))
    assert GoldenDataset.from_task("support") == golden

    grow(store, policy, brought=read_items([{"question": "Do you ship to the moon?"}]))
    shutil.rmtree(files_of(store))
    with pytest.raises(StoreError, match=r"manifest\.json"):
        GoldenDataset.from_task("support")


@settings(max_examples=8)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=3), st.integers(2, 12), st.booleans())
def test_however_it_grows_nothing_golden_is_on_the_training_side_and_nothing_leaves(
    empty_database: Path, tmp_path_factory: pytest.TempPathFactory, sizes: list[int], cap: int, confirm: bool
) -> None:
    path = tmp_path_factory.mktemp("growth") / "continuum.db"
    shutil.copy(empty_database, path)
    store, policy = open_store(f"sqlite:///{path}"), a_policy(max_golden=cap, confirm_golden=confirm)
    store.tasks.register(policy)
    rows, before, trained = interactions(sum(sizes)), set[str](), set[str]()
    for size in sizes:
        batch, rows = rows[:size], rows[size:]
        store.interactions.add(batch)
        store.feedback.add(Feedback(interaction_id=row.id, score=4, recorded_at=NOON) for row in batch[::2])
        golden = hold_out(store, policy)
        after = {item.interaction_id for item in golden} if golden else set()
        sides = task_sides(store, policy)
        trained |= set(sides.ids("train"))

        assert before <= after
        assert len(after) <= cap * len(sizes) + 1
        assert hold_out(store, policy) == golden
        assert after <= set(sides.ids("golden"))
        assert after.isdisjoint(trained)
        before = after
    store.close()


# --- people's word ----------------------------------------------------------------------------------------------------


def test_with_confirmation_only_what_people_spoke_of_joins_and_the_rest_is_put_before_them(store: Store) -> None:
    policy = a_policy(confirm_golden=True, max_golden=12)
    filled(store, policy, 80)
    golden_side = task_sides(store, policy).ids("golden")
    store.feedback.add([Feedback(interaction_id=golden_side[0], score=2, recorded_at=NOON)])

    grown = grow(store, policy)

    assert grown.dataset is not None
    assert [item.interaction_id for item in grown.dataset] == [golden_side[0]]
    assert grown.dataset.items[0].confirmed
    assert (grown.asked, grown.waiting) == (11, 11)
    assert store.reviews.ids("support", "golden") <= set(golden_side)


def test_a_question_joins_once_a_person_has_scored_it_in_the_queue(store: Store) -> None:
    policy = a_policy(confirm_golden=True)
    filled(store, policy)
    assert hold_out(store, policy) is None
    labelling = Labelling(store, "support", "golden", labeller="ada")
    question = labelling.next()
    assert question is not None
    review = store.reviews.get(question.review_id)
    assert review is not None

    labelling.vote(question.review_id, 5)

    golden = hold_out(store, policy)
    assert golden is not None
    assert [item.interaction_id for item in golden] == [review.review.interaction_id]
    assert golden.items[0].reference == golden.items[0].production
    assert labelling.progress().left == labelling.progress().total - 1


def test_without_a_judge_people_are_asked_too_and_what_they_call_good_joins(store: Store) -> None:
    policy = a_policy(confirm_golden=True).model_copy(update={"judge": JudgePolicy()})
    filled(store, policy)
    assert grow(store, policy).asked > 10
    labelling = Labelling(store, "support", "golden", labeller="ada")
    for score in (5, 1):
        question = labelling.next()
        assert question is not None
        labelling.vote(question.review_id, score)

    golden = GoldenDataset.from_task("support")

    assert (len(golden), golden.with_reference) == (1, 1)


def test_asking_again_asks_nobody_twice_and_never_more_than_are_looked_at(store: Store) -> None:
    policy = a_policy(confirm_golden=True, golden=0.8)
    filled(store, policy, 150)

    first, second = grow(store, policy), grow(store, policy)

    assert (first.asked, first.waiting) == (ASKED_AT_ONCE, ASKED_AT_ONCE)
    assert (second.asked, second.waiting) == (0, ASKED_AT_ONCE)


def test_who_passes_is_not_asked_again_and_another_question_takes_the_place(store: Store) -> None:
    policy = a_policy(confirm_golden=True, max_golden=3)
    filled(store, policy)
    grow(store, policy)
    labelling = Labelling(store, "support", "golden", labeller="ada")
    question = labelling.next()
    assert question is not None

    labelling.skip(question.review_id)

    assert grow(store, policy).asked == 1
    assert len(store.reviews.ids("support", "golden")) == 4


def test_who_was_asked_did_not_answer_in_vain_though_the_set_is_full_by_then(store: Store) -> None:
    policy = a_policy(confirm_golden=True, max_golden=4)
    filled(store, policy)
    grow(store, policy)
    asked = store.reviews.ids("support", "golden")
    others = [one for one in task_sides(store, policy).ids("golden") if one not in asked]
    store.feedback.add(Feedback(interaction_id=one, score=4, recorded_at=NOON) for one in others[:6])
    full = grow(store, policy).dataset
    store.feedback.add(Feedback(interaction_id=one, score=4, recorded_at=NOON) for one in asked)

    golden = grow(store, policy).dataset

    assert full is not None
    assert golden is not None
    assert len(full) == 4
    assert {item.interaction_id for item in golden} == asked | {item.interaction_id for item in full}


def test_what_is_in_stays_in_when_confirmation_is_asked_for_later(store: Store) -> None:
    filled(store, a_policy())
    golden = GoldenDataset.from_task("support")

    assert hold_out(store, a_policy(confirm_golden=True)) == golden


# --- what somebody brings ---------------------------------------------------------------------------------------------

OWN = [
    {"question": "Do you ship to the moon?", "reference": "Not yet.", "slice": "shipping", "checker": {"contains": "not"}},
    {"question": "Are you a person?", "kind": "alignment", "checker": {"not_human": True}},
]


def test_what_somebody_brings_joins_and_stays_through_growth(store: Store) -> None:
    policy = a_policy(max_golden=5)
    filled(store, policy)

    grown = grow(store, policy, brought=read_items(OWN), now=lambda: NOON)
    store.interactions.add(interactions(120)[60:])
    later = GoldenDataset.from_task("support").refresh(4, since=None)

    assert grown.dataset is not None
    own = [item for item in later if item.own]
    assert len(grown.dataset) == 7
    assert len(later) == 14
    assert own == [item for item in grown.dataset if item.own]
    assert {(item.slice, item.kind, item.confirmed, item.asked_at) for item in own} == {
        ("shipping", "task", True, NOON),
        (None, "alignment", True, NOON),
    }


def test_what_two_bring_at_the_same_time_is_all_there_in_the_end(store: Store) -> None:
    policy = a_policy()
    filled(store, policy)
    GoldenDataset.from_task("support")
    begun = iter((True,))

    def while_another_adds() -> datetime:
        if next(begun, False):
            grow(store, policy, brought=read_items([OWN[0]]))
        return NOON

    grown = grow(store, policy, brought=read_items([OWN[1]]), now=while_another_adds)

    assert grown.dataset is not None
    assert grown.dataset == GoldenDataset.latest("support", store=store)
    assert sum(item.own for item in grown.dataset) == 2
    assert len(grown.joined) == 1


def test_the_same_file_again_changes_nothing_and_a_mended_line_replaces_the_old(store: Store) -> None:
    policy = a_policy()
    filled(store, policy)
    first = grow(store, policy, brought=read_items(OWN), now=lambda: NOON).dataset

    again = grow(store, policy, brought=read_items(OWN), now=lambda: NOON + timedelta(days=9))
    mended = grow(store, policy, brought=read_items([{**OWN[0], "reference": "Never."}])).dataset

    assert again.dataset == first
    assert mended is not None
    assert [item.reference for item in mended if item.slice == "shipping"] == [assistant("Never.")]
    assert sum(item.own for item in mended) == 2


def test_what_is_golden_or_was_trained_on_is_refused_by_its_line(store: Store, tmp_path_factory: pytest.TempPathFactory) -> None:
    policy = a_policy()
    filled(store, policy)
    golden = GoldenDataset.from_task("support")
    trained_on(store, tmp_path_factory.mktemp("set") / "set", "Do you ship to the moon?")

    grown = grow(store, policy, brought=read_items([OWN[0], {"question": golden.items[0].prompt}, OWN[1]]))

    assert [str(one).split(",")[0].split(" (")[0] for one in grown.refused] == [
        "item 1: the same question was trained on",
        "item 2: the question is in the golden dataset already",
    ]
    assert len(grown.joined) == 1


def test_nothing_that_asks_a_brought_question_is_trained_on(store: Store) -> None:
    policy = a_policy(golden=0.2)
    filled(store, policy)
    grow(store, policy, brought=read_items(OWN))
    same = an_interaction("do you ship to  the MOON?", id="same")
    goes_on = an_interaction(id="goes-on", messages=(user("Do you ship to the moon?"), assistant("No."), user("And to Mars?")))
    store.interactions.add([same, goes_on])

    sides = task_sides(store, policy)

    assert {sides.side[one] for one in ("same", "goes-on")} <= {"quarantined", "golden"}
    assert sides.report.by_side["train"] > 20
    assert set(sides.report.crossings.values()) == {0}


def test_a_brought_question_takes_those_out_of_training_that_asked_it_before(store: Store) -> None:
    policy = a_policy(golden=0.2)
    rows = filled(store, policy)
    on_train = next(row for row in rows if task_sides(store, policy).side[row.id] == "train")

    grow(store, policy, brought=read_items([{"question": on_train.messages[0].text}]))

    assert task_sides(store, policy).side[on_train.id] == "quarantined"


# --- dev and test -----------------------------------------------------------------------------------------------------


def test_the_parts_hold_whole_groups_and_together_everything(store: Store) -> None:
    policy = a_policy()
    filled(store, policy)
    golden = GoldenDataset.from_task("support")

    dev, test = golden.split(0.4)

    assert sorted(item.interaction_id for part in (dev, test) for item in part) == [item.interaction_id for item in golden]
    assert {item.group for item in dev}.isdisjoint({item.group for item in test})
    assert len({golden.fingerprint, dev.fingerprint, test.fingerprint}) == 3
    assert golden.split(0.4) == (dev, test)
    assert golden.split(0.4, salt="another") != (dev, test)


def test_a_part_is_not_split_or_refreshed_and_an_impossible_share_is_refused(store: Store) -> None:
    filled(store, a_policy())
    golden = GoldenDataset.from_task("support")
    dev, _ = golden.split()

    for attempt in (dev.split, dev.refresh, lambda: golden.split(0), lambda: golden.split(1)):
        with pytest.raises(ConfigurationError):
            attempt()


def test_growth_moves_no_question_from_dev_to_test_even_where_groups_grow_together(store: Store) -> None:
    policy = a_policy(golden=0.9, validation=0)
    filled(store, policy)
    golden = GoldenDataset.from_task("support")
    dev = {item.interaction_id for item in golden.split()[0]}
    rows = store.interactions.get_many(item.interaction_id for item in golden)
    # Older dialogues of the same people: every group gets an earlier member, and so another name.
    store.interactions.add(
        an_interaction(
            f"Something else, the {n}th?", id=f"old-{n}", conversation_id=row.conversation_id, started_at=NOON - timedelta(days=9)
        )
        for n, row in enumerate(rows.values())
    )

    grown = GoldenDataset.from_task("support")

    names = {item.interaction_id: item.group for item in golden}
    assert any(names.get(item.interaction_id, item.group) != item.group for item in grown)
    assert dev <= {item.interaction_id for item in grown.split()[0]}


def test_two_groups_that_grow_together_are_dev_if_either_was() -> None:
    apart = [GoldenItem(interaction_id=f"i{n}", messages=(user(str(n)),), group=f"g{n}", lot=f"g{n}") for n in range(8)]
    golden = GoldenDataset("s", "support", 1, "f", tuple(apart), {})
    dev, test = ({item.interaction_id for item in part} for part in golden.split())
    one, other = min(dev), min(test)
    merged = [item.model_copy(update={"group": "both"}) if item.interaction_id in (one, other) else item for item in apart]

    after, _ = GoldenDataset("s", "support", 2, "f", tuple(merged), {}).split()

    assert {item.interaction_id for item in after} == dev | {other}
