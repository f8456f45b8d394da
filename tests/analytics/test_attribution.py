"""Which examples helped and which hurt: a store with a line of two versions, golden items on four topics, and made-up scores."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuum.analytics.attribution import ELSEWHERE, FEWEST_GROUPS, Attribution, ClusterGain, attribute
from continuum.dataset import Dataset
from continuum.embedding.embedder import HashedEmbedder
from continuum.errors import ConfigurationError
from continuum.records import Checkpoint, DatasetRecord, Example
from continuum.splits.golden import GoldenItem
from continuum.store.database import Store
from continuum.store.learning import DatasetItem
from tests.builders import an_example, user

TOPICS = (
    "refund the money of my last order",
    "reset my forgotten password",
    "parcel stuck at customs",
    "change the delivery town",
)
RIGHT, WRONG = "as the help page says", "there is no way to do that"


def question(topic: str, n: int) -> str:
    return f"{('please', 'how do i', 'i want to', 'can you')[n % 4]} {topic} number {n}"


def lessons(topics: Sequence[str], each: int = 8, first: int = 0, **fields: Any) -> list[Example]:
    return [
        an_example(question(topic, n), RIGHT, interaction_id=f"{topic.split()[0]}-{n}", **fields)
        for topic in topics
        for n in range(first, first + each)
    ]


def golden(topics: Sequence[str] = TOPICS, each: int = 8) -> list[GoldenItem]:
    return [
        GoldenItem(
            interaction_id=f"golden-{topic.split()[0]}-{n}",
            messages=(user(question(topic, 100 + n)),),
            group=f"{topic.split()[0]}-{n}",
        )
        for topic in topics
        for n in range(each)
    ]


def scored(items: Sequence[GoldenItem], score: float, **topics: float) -> dict[str, float | None]:
    """The same score for all items, but those of the topics that are named by their first word."""
    return {item.interaction_id: topics.get(item.interaction_id.split("-")[1], score) for item in items}


def learn(
    store: Store, folder: Path, version: int, examples: Sequence[Example], parent: str | None = None, **metrics: float
) -> Checkpoint:
    """A version of the line that was trained on the examples."""
    Dataset(examples, {"task": "support"}).write(folder / f"data{version}")
    record = DatasetRecord(
        id=f"data{version}",
        task="support",
        name=f"support_training_v{version}",
        version=version,
        uri=str(folder / f"data{version}"),
        manifest={},
    )
    store.datasets.add(record, [DatasetItem(interaction_id=one.interaction_id, split=one.split) for one in examples])
    checkpoint = Checkpoint(
        id=f"c{version}",
        task="support",
        version=version,
        base_model="tiny",
        uri="nowhere",
        dataset_id=record.id,
        parent_id=parent,
        metrics=metrics,
    )
    store.checkpoints.add(checkpoint)
    return checkpoint


@pytest.fixture
def candidate(store: Store, tmp_path: Path) -> Checkpoint:
    """v2, which was continued from v1 on new examples of all topics."""
    learn(store, tmp_path, 1, lessons(TOPICS, each=4))
    return learn(store, tmp_path, 2, lessons(TOPICS, first=10), parent="c1")


def attributed(store: Store, candidate: Checkpoint, items: Sequence[GoldenItem], before, after, **fields: Any) -> Attribution:
    return attribute(store, "support", items, before, after, candidate=candidate, **{"embedder": HashedEmbedder()} | fields)


def topics_of(cluster: ClusterGain) -> set[str]:
    return {id.split("-")[0] for id in cluster.example_ids}


def test_the_topic_that_got_worse_is_named_with_its_examples(store: Store, candidate: Checkpoint) -> None:
    items = golden()

    found = attributed(store, candidate, items, scored(items, 0.5), scored(items, 0.75, parcel=0.0))

    worst = found.hurt(1)[0]
    assert topics_of(worst) == {"parcel"}
    assert "parcel stuck at customs" in worst.cluster
    assert worst.gain.low < worst.gain.mean < worst.gain.high < 0
    assert worst.measured == -0.5
    assert worst.items == 8
    assert worst.probability_harmful > 0.95
    assert [one.interaction_id for one in worst.first] == list(worst.example_ids[:5])
    assert all("parcel stuck at customs" in one.asked for one in worst.first)
    assert {one.learned for one in worst.first} == {RIGHT}
    assert found.candidate == "support-v2"
    assert found.baseline == "support-v1"
    for other in found.helped(3):
        assert "parcel" not in topics_of(other)
        assert other.probability_harmful < 0.05


def test_the_topic_that_got_better_is_what_helped(store: Store, candidate: Checkpoint) -> None:
    items = golden()

    found = attributed(store, candidate, items, scored(items, 0.5), scored(items, 0.5, refund=1.0))

    assert topics_of(found.helped(1)[0]) == {"refund"}
    assert found.clusters[0] == found.helped(1)[0]
    assert found.clusters[0].gain.low > 0


def test_the_clusters_hold_what_was_newly_learned_and_nothing_else(store: Store, candidate: Checkpoint) -> None:
    items = golden()

    found = attributed(store, candidate, items, scored(items, 0.5), scored(items, 0.75))
    against_the_base = attributed(store, candidate, items, scored(items, 0.5), scored(items, 0.75), baseline="base")

    assert sorted(id for one in found.clusters for id in one.example_ids) == sorted(
        one.interaction_id for one in lessons(TOPICS, first=10)
    )
    assert sum(one.examples for one in against_the_base.clusters) == 4 * (4 + 8)
    assert against_the_base.baseline == "base"


def test_rows_of_what_people_preferred_are_said_to_be_in_no_cluster(store: Store, tmp_path: Path) -> None:
    learn(store, tmp_path, 1, lessons(TOPICS, each=4), preference_examples=30)
    candidate = learn(store, tmp_path, 2, lessons(TOPICS, first=10), parent="c1", preference_examples=12)
    items = golden()
    scores = scored(items, 0.5), scored(items, 0.75)

    since_the_parent, since_the_base = (
        attributed(store, candidate, items, *scores, baseline=baseline) for baseline in ("", "base")
    )

    said = "it also learned from {} rows of what people preferred (DPO or KTO), which are in no cluster: not looked at"
    assert said.format(12) in since_the_parent.notes
    assert said.format(42) in since_the_base.notes


def test_what_the_parent_learned_is_not_new_where_the_next_dataset_has_it_again(store: Store, tmp_path: Path) -> None:
    learn(store, tmp_path, 1, lessons(TOPICS, each=8))
    candidate = learn(store, tmp_path, 2, [*lessons(TOPICS, each=8), *lessons(TOPICS[:1], first=20)], parent="c1")
    items = golden()

    found = attributed(store, candidate, items, scored(items, 0.5), scored(items, 0.75))

    assert set().union(*map(topics_of, found.clusters)) == {"refund"}
    assert sum(one.examples for one in found.clusters) == 8


def test_validation_rows_were_not_learned_from(store: Store, tmp_path: Path) -> None:
    held_back = lessons(TOPICS[1:2], first=50, split="validation")
    candidate = learn(store, tmp_path, 1, [*lessons(TOPICS), *held_back])
    items = golden()

    found = attributed(store, candidate, items, scored(items, 0.5), scored(items, 0.75))

    assert sum(one.examples for one in found.clusters) == 4 * 8


def test_items_near_no_new_example_stand_elsewhere_and_are_not_blamed_on_any(store: Store, candidate: Checkpoint) -> None:
    far = [
        GoldenItem(interaction_id=f"golden-far-{n}", messages=(user(f"Quel temps fait-il {n} à Genève?"),), group=f"far-{n}")
        for n in range(6)
    ]
    items = [*golden(), *far]

    found = attributed(store, candidate, items, scored(items, 0.5), scored(items, 0.5, far=0.0))

    last = found.clusters[-1]
    assert (last.cluster, last.items, last.examples, last.example_ids) == (ELSEWHERE, 6, 0, ())
    assert last.gain.mean < -0.2
    assert last not in found.hurt(9)
    assert any("6 golden items are near none of the new examples" in note for note in found.notes)


def test_a_cluster_with_few_golden_items_says_so_and_is_not_ranked(store: Store, candidate: Checkpoint) -> None:
    items = [*golden(TOPICS[:3], each=12), *golden(TOPICS[3:], each=FEWEST_GROUPS - 1)]

    found = attributed(store, candidate, items, scored(items, 0.5), scored(items, 0.5, change=0.0))

    few = next(one for one in found.clusters if topics_of(one) == {"change"})
    assert few.items == FEWEST_GROUPS - 1
    assert not few.ranked
    assert few not in [*found.helped(9), *found.hurt(9)]
    assert any("are not ranked" in note for note in found.notes)


def test_items_of_one_group_count_once(store: Store, candidate: Checkpoint) -> None:
    items = [item.model_copy(update={"group": item.interaction_id.split("-")[1]}) for item in golden()]

    found = attributed(store, candidate, items, scored(items, 0.5), scored(items, 0.75, parcel=0.0))

    assert [one.gain.groups for one in found.clusters] == [1] * 4
    assert not any(one.ranked for one in found.clusters)
    assert found.hurt() == ()


def test_the_examples_nearest_to_the_items_that_fell_come_first(store: Store, tmp_path: Path) -> None:
    candidate = learn(store, tmp_path, 1, [*lessons(TOPICS[:1]), *lessons(TOPICS[1:2])])
    items = golden(TOPICS[:2])

    found = attributed(store, candidate, items, scored(items, 1.0), scored(items, 1.0, reset=0.0))

    for cluster in found.clusters:
        first = [id.split("-")[0] for id in cluster.example_ids]
        # Where a cluster holds both topics, the one whose items fell is shown before the other.
        assert first == sorted(first, reverse=True)


def test_items_without_both_scores_are_left_out_and_counted(store: Store, candidate: Checkpoint) -> None:
    items = golden()
    before, after = scored(items, 0.5), scored(items, 0.75)
    before[items[0].interaction_id] = None
    del after[items[1].interaction_id]

    found = attributed(store, candidate, items, before, after)

    assert sum(one.items for one in found.clusters) == len(items) - 2
    assert found.notes[0] == f"2 of {len(items)} golden items lack a score of one of the two and are left out"


def test_without_new_examples_or_scores_there_are_no_clusters_but_a_reason(store: Store, candidate: Checkpoint) -> None:
    items = golden()

    nothing_new = attributed(store, candidate, items, scored(items, 0.5), scored(items, 0.5), baseline="v2")
    no_score = attributed(store, candidate, items, {}, scored(items, 0.5))

    assert nothing_new.clusters == no_score.clusters == ()
    assert nothing_new.hurt() == nothing_new.helped() == ()
    assert nothing_new.notes[-1] == "the candidate newly learned no example that can be read"
    assert no_score.notes[-1] == "no golden item has both scores"


def test_a_dataset_that_is_gone_is_named_and_the_others_are_read(store: Store, tmp_path: Path, candidate: Checkpoint) -> None:
    shutil.rmtree(tmp_path / "data1")
    items = golden()

    found = attributed(store, candidate, items, scored(items, 0.5), scored(items, 0.75), baseline="base")

    assert sum(one.examples for one in found.clusters) == 4 * 8
    assert found.notes[0] == "dataset support_training_v1 is gone, what it taught is not looked at"


def test_a_torn_dataset_is_named_and_the_others_are_read(store: Store, tmp_path: Path, candidate: Checkpoint) -> None:
    (tmp_path / "data1" / "manifest.json").write_text("{", encoding="utf-8")
    items = golden()

    found = attributed(store, candidate, items, scored(items, 0.5), scored(items, 0.75), baseline="base")

    assert sum(one.examples for one in found.clusters) == 4 * 8
    assert "cannot be read" in found.notes[0]


def test_a_baseline_that_is_no_model_of_the_task_is_refused(store: Store, candidate: Checkpoint) -> None:
    with pytest.raises(ConfigurationError, match=r"no model 'v7' to compare with; it has base, production, v1, v2"):
        attributed(store, candidate, golden(), {}, {}, baseline="v7")


def test_it_says_that_it_observes_and_does_not_prove(store: Store, candidate: Checkpoint) -> None:
    items = golden()

    found = attributed(store, candidate, items, scored(items, 0.5), scored(items, 0.75))

    assert any(note.startswith("observational") for note in found.notes)


def test_a_label_is_one_line_that_does_nothing_to_a_terminal_and_names_the_intent_most_have(store: Store, tmp_path: Path) -> None:
    hostile = [
        an_example(f"\x1b[31mrefund\nthe money {n}\u202e", RIGHT, interaction_id=f"refund-{n}", intent="money\x1b[0m back")
        for n in range(8)
    ]
    candidate = learn(store, tmp_path, 1, hostile)
    items = golden(TOPICS[:1])

    found = attributed(store, candidate, items, scored(items, 0.5), scored(items, 0.75))

    assert len({one.cluster for one in found.clusters}) == len(found.clusters)
    for one in found.clusters:
        assert one.cluster == ELSEWHERE or one.cluster.startswith("money back: refund the money")
        assert one.cluster.isprintable()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    deltas=st.lists(st.integers(-4, 4), min_size=32, max_size=32),
    random=st.randoms(use_true_random=False),
    seed=st.integers(0, 3),
)
def test_the_order_of_items_changes_nothing_and_the_same_seed_gives_the_same_answer(
    store: Store, tmp_path: Path, deltas: list[int], random: Random, seed: int
) -> None:
    candidate = store.checkpoints.get("c1") or learn(store, tmp_path, 1, lessons(TOPICS))
    items = golden()
    before = scored(items, 0.5)
    after = {item.interaction_id: 0.5 + delta / 8 for item, delta in zip(items, deltas, strict=True)}
    shuffled = random.sample(items, len(items))

    one = attributed(store, candidate, items, before, after, seed=seed)

    assert attributed(store, candidate, shuffled, before, after, seed=seed) == one
    for cluster in one.clusters:
        ends = sorted((one.common if cluster.measured is None else cluster.measured, one.common))
        assert ends[0] - 1e-9 <= cluster.gain.mean <= ends[1] + 1e-9


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=32, max_size=32))
def test_where_before_and_after_are_equal_no_cluster_gained(store: Store, tmp_path: Path, scores: list[float]) -> None:
    candidate = store.checkpoints.get("c1") or learn(store, tmp_path, 1, lessons(TOPICS))
    items = golden()
    same = {item.interaction_id: score for item, score in zip(items, scores, strict=True)}

    found = attributed(store, candidate, items, same, same)

    for cluster in found.clusters:
        assert cluster.gain.mean == pytest.approx(0, abs=1e-12)
        assert cluster.probability_harmful == pytest.approx(0.5, abs=1e-9)
