"""What is asked of all tasks at once is what each would say by itself."""

from datetime import timedelta

from sqlalchemy import event, insert, update

from continuum.policy import TaskPolicy
from continuum.records import Annotation, Checkpoint, DatasetRecord, Review
from continuum.store.anchors import AnchorRound
from continuum.store.database import Store
from continuum.store.overview import Learned
from continuum.store.tables import snapshots, tasks
from tests.builders import NOON, interactions

TASKS = ("billing", "returns", "support")


def filled(store: Store) -> None:
    """Three tasks with 3, 0 and 7 interactions, written by turns; support has learned from its first two."""
    for task in TASKS:
        store.tasks.ensure(task)
    for count, task in ((4, "support"), (3, "billing"), (3, "support")):
        store.interactions.add(interactions(count, task=task))
    second = sorted(store.interactions.frame("support", ["sequence"])["sequence"])[1]
    store.tasks.advance("support", base=0, to=second)


def test_new_interactions_are_those_above_each_tasks_own_mark(store: Store) -> None:
    filled(store)
    assert store.overview.new_interactions() == {"billing": 3, "returns": 0, "support": 5}
    for task in TASKS:
        mark = store.tasks.get(task).trained_through
        assert store.overview.new_interactions()[task] == store.interactions.count(task, after=mark)


def test_newest_and_oldest_are_those_of_each_task(store: Store) -> None:
    filled(store)
    assert store.overview.last_sequences() == {task: store.interactions.last_sequence(task) for task in TASKS}
    assert store.overview.oldest_interactions() == {"billing": NOON, "support": NOON}


def test_anchors_versions_and_stale_snapshots_are_counted_by_task(store: Store) -> None:
    filled(store)
    store.reviews.add(Review(task="support", interaction_id=str(n), queue="anchor", reason="frozen") for n in range(3))
    store.reviews.add([Review(task="support", interaction_id="9", queue="audit", reason="drawn")])
    store.datasets.add(a_dataset("one", "billing"), [])
    row = {"task": "returns", "day": "2026-03-01", "rows": 1, "uri": "x", "changes": 0, "created_at": NOON}
    with store.engine.begin() as connection:
        for number, stale in ((1, True), (2, False)):
            part = {"id": str(number), "first_sequence": number, "last_sequence": number, "stale": stale}
            connection.execute(insert(snapshots).values(row | part))

    assert store.overview.anchors() == {"support": 3}
    assert store.overview.dataset_versions() == {"billing": 1}
    assert store.overview.stale_snapshots() == {"returns": 1}


def test_what_was_learned_changes_with_the_newest_golden_set_and_with_each_checkpoint(store: Store) -> None:
    filled(store)
    assert store.overview.learned()["support"] == Learned()
    seen = {store.overview.learned()["support"].fingerprint}
    store.datasets.add(a_dataset("t1", "support"), [])
    assert store.overview.learned()["support"].fingerprint in seen

    for version in (1, 2):
        store.datasets.add(a_dataset(f"g{version}", "support", "golden", version), [])
        seen.add(store.overview.learned()["support"].fingerprint)
        store.checkpoints.add(a_checkpoint(f"c{version}", version))
        seen.add(store.overview.learned()["support"].fingerprint)

    assert len(seen) == 5
    assert store.overview.learned()["support"] == Learned("g2", "c2", 2)
    assert store.overview.learned()["billing"] == Learned()


def test_the_newest_round_of_each_judge_and_rubric_is_told(store: Store) -> None:
    filled(store)
    for version, judge, days in (("1", "a", 0), ("2", "a", 3), ("1", "b", 1)):
        at = NOON + timedelta(days=days)
        store.anchors.add(AnchorRound(task="support", judge=judge, version=version, rubric="r", scores={}, created_at=at))

    found = store.overview.anchor_rounds()

    assert {name: (look.version, look.at) for name, look in found.items()} == {
        ("support", "a", "r"): ("2", NOON + timedelta(days=3)),
        ("support", "b", "r"): ("1", NOON + timedelta(days=1)),
    }


def test_who_serves_a_judge_is_read_from_its_newest_selecting_annotation(store: Store) -> None:
    filled(store)
    said = (
        ("a", "selecting", "build-1", 0),
        ("a", "selecting", "build-2", 1),
        ("a", "second", "build-3", 2),
        ("b", "selecting", None, 3),
    )
    for number, (judge, role, served_by, hours) in enumerate(said):
        store.annotations.add([an_annotation(str(number), judge, role, served_by, hours)])

    assert {task: one.model for task, one in store.overview.served_by("a").items()} == {"support": "build-2"}
    assert {task: one.model for task, one in store.overview.served_by("b").items()} == {"support": None}
    assert store.overview.served_by("nobody") == {}


def test_all_tasks_are_read_at_once_and_a_policy_that_cannot_be_read_hides_no_other(store: Store) -> None:
    for task in TASKS:
        store.tasks.register(TaskPolicy(task=task, auto_train_when=len(task)))
    with store.engine.begin() as connection:
        connection.execute(update(tasks).where(tasks.c.name == "returns").values(policy={"task": "returns", "hour": 99}))

    states, unreadable = store.tasks.every()

    assert states == [store.tasks.get("billing"), store.tasks.get("support")]
    assert list(unreadable) == ["returns"]
    assert "continuum tasks set returns" in str(unreadable["returns"])


def test_every_question_is_one_query_however_many_tasks_there_are(store: Store) -> None:
    filled(store)
    sent: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda _1, _2, statement, *_: sent.append(statement))
    overview = store.overview
    questions = [
        overview.new_interactions, overview.last_sequences, overview.oldest_interactions, overview.dataset_versions,
        overview.stale_snapshots, overview.anchors, overview.learned, overview.anchor_rounds,
        lambda: overview.served_by("a"), store.tasks.every,
    ]  # fmt: skip
    for asked, question in enumerate(questions, 1):
        question()
        assert len([one for one in sent if one.startswith("SELECT")]) == asked


def a_dataset(id_: str, task: str, kind: str = "training", version: int = 1) -> DatasetRecord:
    name = f"{task}_{kind}_v{version}"
    return DatasetRecord(id=id_, task=task, kind=kind, name=name, version=version, uri=id_, manifest={}, created_at=NOON)  # type: ignore[arg-type]


def a_checkpoint(id_: str, version: int) -> Checkpoint:
    return Checkpoint(
        id=id_, task="support", version=version, base_model="tiny", uri=id_, dataset_id="t1", generation=version, manifest={}
    )


def an_annotation(interaction: str, judge: str, role: str, served_by: str | None, hours: int) -> Annotation:
    return Annotation(
        interaction_id=interaction,
        task="support",
        judge=judge,
        rubric="r",
        role=role,  # type: ignore[arg-type]
        scores={"helpfulness": 4.0},
        overall=4.0,
        served_by=served_by,
        created_at=NOON + timedelta(hours=hours),
    )
