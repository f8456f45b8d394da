from pathlib import Path

import pytest

from continuum.errors import ConfigurationError, StoreError
from continuum.policy import JudgePolicy, SplitPolicy, TaskPolicy
from continuum.records import Feedback, Interaction, Message
from continuum.splits.golden import GoldenDataset
from continuum.splits.golden_growth import hold_out
from continuum.splits.sides import task_sides
from continuum.store.database import Store
from tests.builders import NOON, an_interaction, interactions

POLICY = TaskPolicy(task="support", judge=JudgePolicy(model="gpt-4"), splits=SplitPolicy(golden=0.4))
UNJUDGED = POLICY.model_copy(update={"judge": JudgePolicy()})


def rated(rows: list[Interaction], score: float, **fields: object) -> list[Feedback]:
    return [Feedback(interaction_id=row.id, score=score, recorded_at=NOON, **fields) for row in rows]


def held_out(store: Store, policy: TaskPolicy = POLICY) -> GoldenDataset:
    golden = hold_out(store, policy)
    assert golden is not None
    return golden


@pytest.fixture
def rows(store: Store) -> list[Interaction]:
    rows = interactions(60)
    store.tasks.register(POLICY)
    store.interactions.add(rows)
    return rows


def test_the_golden_side_is_held_out_and_loaded_by_name(store: Store, rows: list[Interaction]) -> None:
    golden = held_out(store)

    assert golden.name == "support_golden_v1"
    assert [item.interaction_id for item in golden] == sorted(task_sides(store, POLICY).ids("golden"))
    assert GoldenDataset.load("support_golden_v1") == golden
    assert GoldenDataset.latest("support", store=store) == golden
    assert golden.items[0].production == store.interactions.get(golden.items[0].interaction_id).response


def test_holding_out_again_changes_nothing(store: Store, rows: list[Interaction]) -> None:
    assert held_out(store) == held_out(store)
    assert store.datasets.next_version("support", "golden") == 2


def test_more_traffic_extends_what_is_held_out(store: Store, rows: list[Interaction]) -> None:
    before = held_out(store)
    store.interactions.add(interactions(160)[60:])

    after = held_out(store)

    assert after.version == 2
    assert {item.interaction_id for item in before} < {item.interaction_id for item in after}
    assert GoldenDataset.load(before.name, store=store) == before


def test_without_a_judge_only_what_people_called_good_or_corrected_can_be_measured(store: Store, rows: list[Interaction]) -> None:
    held = [store.interactions.get(one) for one in task_sides(store, UNJUDGED).ids("golden")]
    good, bad, corrected = held[:3], held[3:6], held[6:8]
    store.feedback.add([*rated(good, 4.0), *rated(bad, 2.0), *rated(corrected, 1.0, correction="Ask for the number.")])

    golden = {item.interaction_id: item for item in held_out(store, UNJUDGED)}

    assert set(golden) == {one.id for one in [*good, *corrected]}
    assert golden[good[0].id].reference == good[0].response
    assert golden[corrected[0].id].reference == Message(role="assistant", content="Ask for the number.")
    assert golden[corrected[0].id].production == corrected[0].response


def test_nothing_to_measure_is_no_dataset(store: Store, rows: list[Interaction]) -> None:
    assert hold_out(store, UNJUDGED) is None
    assert GoldenDataset.latest("support", store=store) is None


def test_a_new_correction_of_a_golden_item_makes_a_new_version(store: Store, rows: list[Interaction]) -> None:
    first = held_out(store)
    asked = first.items[0].interaction_id
    store.feedback.add([Feedback(interaction_id=asked, correction="Better.", recorded_at=NOON)])

    second = held_out(store)

    assert (second.version, second.items[0].reference) == (2, Message(role="assistant", content="Better."))
    assert second.with_reference == 1


def test_a_question_asked_twice_is_one_item(store: Store, rows: list[Interaction]) -> None:
    golden = held_out(store)
    again = store.interactions.get(golden.items[0].interaction_id).model_copy(update={"id": "again"})
    store.interactions.add([again])

    assert held_out(store) == golden


def test_what_a_canary_answered_is_not_productions_word(store: Store) -> None:
    policy = POLICY.model_copy(update={"splits": SplitPolicy(golden=0.99, validation=0)})
    store.interactions.add([an_interaction(id="a", variant="canary")])

    assert held_out(store, policy).items[0].production is None


def test_what_the_tasks_own_model_answered_once_it_served_everybody_is_not_productions_word(store: Store) -> None:
    policy = POLICY.model_copy(update={"splits": SplitPolicy(golden=0.99, validation=0)})
    own = an_interaction(id="a", model=f"{POLICY.task}-v1", variant="stable", deployment_id="d")
    others = an_interaction("May I pay by invoice?", id="b", model="gpt-4", variant="stable", deployment_id="d")
    store.interactions.add([own, others])

    said = {item.interaction_id: item.production for item in held_out(store, policy).items}

    assert said == {"a": None, "b": others.response}


def test_few_items_are_said_to_be_few(store: Store, rows: list[Interaction]) -> None:
    assert "inconclusive" in held_out(store).manifest["note"]


def test_an_unknown_name_is_answered_with_those_there_are(store: Store, rows: list[Interaction]) -> None:
    held_out(store)

    with pytest.raises(ConfigurationError, match="support_golden_v1"):
        GoldenDataset.load("suport_golden_v1", store=store)


def test_missing_files_are_named(store: Store, rows: list[Interaction], home: Path) -> None:
    name = held_out(store).name
    (home / "datasets" / "support" / name / "golden.parquet").unlink()

    with pytest.raises(StoreError, match=r"golden\.parquet"):
        GoldenDataset.load(name, store=store)


def test_what_sqlite_holds_and_postgres_would_not_is_measured_as_capture_would_have_left_it(store: Store) -> None:
    store.tasks.register(POLICY)
    tags = {"intent": "par\x00cels"}
    store.interactions.add(one.model_copy(update={"tags": tags}) for one in interactions(20))
    store.interactions.add([an_interaction(id="nul\x00")])

    golden = held_out(store)

    assert {item.slice for item in golden} == {"par\ufffdcels"}
    assert not any("\x00" in item.interaction_id for item in golden)
