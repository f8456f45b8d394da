import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from continuum.curation.curator import DataCurator
from continuum.dataset import Dataset
from continuum.errors import ConfigurationError, NotEnoughData
from continuum.policy import CurationPolicy, SplitPolicy, TaskPolicy
from continuum.records import Annotation, Checkpoint, Feedback, Interaction, Message, Review, Verdict, VerdictStatus
from continuum.splits.golden import GoldenDataset
from continuum.store.database import Store, open_store
from tests.builders import NOON, an_interaction, assistant, interactions

TOPICS = ("refund for parcel", "trains to town", "password of account", "opening hours of shop", "invoice for order")


def traffic(count: int = 120) -> list[Interaction]:
    return [
        an_interaction(
            f"What about the {TOPICS[n % 5]} {n}, please?",
            f"The {TOPICS[n % 5]} {n} is {'settled' if n % 2 else 'on its way'}.",
            id=f"row-{n:04}",
            started_at=NOON + timedelta(minutes=n),
        )
        for n in range(count)
    ]


def judged(rows: list[Interaction]) -> list[Annotation]:
    return [
        Annotation(
            id=f"note-{row.id}",
            interaction_id=row.id,
            task=row.task,
            judge="gpt-4",
            rubric="r",
            overall=1.0 + n % 9 / 2,
            created_at=NOON,
        )
        for n, row in enumerate(rows)
    ]


def fill(store: Store, count: int = 120) -> None:
    rows = traffic(count)
    store.tasks.ensure("support")
    store.interactions.add(rows)
    store.annotations.add(judged(rows))


def noon() -> object:
    return NOON + timedelta(days=1)


@pytest.fixture
def curator(store: Store) -> DataCurator:
    fill(store)
    return DataCurator(target_size=15, min_examples=5, store=store)


async def test_good_answers_become_a_training_set(curator: DataCurator, store: Store) -> None:
    dataset = await curator.build("support", now=noon)

    assert len(dataset) == 15
    assert dataset.min_score >= 3.5
    assert dataset.source_interactions == 120
    assert 0 < dataset.intent_coverage <= 1
    assert dataset.name == "support_training_v1"
    assert all(example.reason and example.group and example.cluster >= 0 for example in dataset)
    assert {item.interaction_id for item in store.datasets.items(dataset.fingerprint)} == {e.interaction_id for e in dataset}
    assert Dataset.read(store.datasets.get(dataset.name).uri).examples == dataset.examples


async def test_the_readmes_call_works_on_the_default_store(store: Store) -> None:
    fill(store)
    curator = DataCurator(
        strategy="active_learning",
        target_size=1000,
        min_quality_score=3.5,
        diversity_coefficient=0.3,
        deduplication_threshold=0.92,
    )

    dataset = await curator.build(task="support", time_window="30d", now=noon)

    assert len(dataset) == dataset.manifest["counts"]["eligible"]


async def test_every_interaction_is_accounted_for_by_one_stage(curator: DataCurator) -> None:
    counts = (await curator.build("support", now=noon)).manifest["counts"]

    left_out = ("golden", "quarantined", "anchor", "failed", "empty", "suspected_injection", "unscored", "below_quality")
    removed = ("exact_duplicates", "near_duplicates", "near_golden")
    assert counts["seen"] == sum(counts[stage] for stage in (*left_out, *removed)) + counts["eligible"]
    assert counts["selected"] == counts["train"] + counts["validation"] == 15


@pytest.mark.slow
async def test_no_anchor_is_trained_on(curator: DataCurator, store: Store) -> None:
    chosen = {example.interaction_id for example in await curator.build("support", now=noon)}
    store.reviews.add(Review(task="support", interaction_id=one, queue="anchor", probability=0.1) for one in sorted(chosen)[:5])

    dataset = await curator.build("support", now=noon)

    assert {example.interaction_id for example in dataset}.isdisjoint(sorted(chosen)[:5])
    assert dataset.manifest["counts"]["anchor"] == 5


async def test_nothing_golden_is_trained_on(curator: DataCurator, store: Store) -> None:
    dataset = await curator.build("support", now=noon)

    golden = GoldenDataset.latest("support", store=store)
    assert golden is not None
    assert {item.group for item in golden}.isdisjoint(example.group for example in dataset)
    assert dataset.manifest["parents"]["golden"] == golden.fingerprint


@pytest.mark.slow
async def test_building_again_gives_the_version_there_is(curator: DataCurator, store: Store) -> None:
    first = await curator.build("support", now=noon)
    second = await curator.build("support", now=lambda: NOON + timedelta(days=2))

    assert second.manifest == first.manifest
    assert second.examples == first.examples
    assert store.datasets.next_version("support") == 2


@pytest.mark.slow
async def test_files_that_were_lost_are_written_again(curator: DataCurator, store: Store) -> None:
    first = await curator.build("support", now=noon)
    folder = Path(store.datasets.get(first.name).uri)
    shutil.rmtree(folder)

    await curator.build("support", now=noon)

    assert Dataset.read(folder).examples == first.examples


@pytest.mark.slow
async def test_another_configuration_is_another_version(curator: DataCurator, store: Store) -> None:
    first = await curator.build("support", now=noon)
    second = await DataCurator(target_size=14, min_examples=5, store=store).build("support", now=noon)

    assert (second.manifest["version"], second.manifest["parents"]["previous"]) == (2, first.fingerprint)


@pytest.mark.slow
async def test_a_fingerprint_is_the_same_in_another_process_and_another_folder(curator: DataCurator, tmp_path: Path) -> None:
    dataset = await curator.build("support", now=noon)
    code = """
import asyncio
from continuum.curation.curator import DataCurator
from continuum.store import default_store
from tests.curation.test_curator import fill, noon
fill(default_store())
print(asyncio.run(DataCurator(target_size=15, min_examples=5).build("support", now=noon)).fingerprint)
"""
    environment = {**os.environ, "CONTINUUM_HOME": str(tmp_path / "elsewhere"), "PYTHONHASHSEED": "7"}

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)

    assert printed.stdout.strip() == dataset.fingerprint, printed.stderr


@pytest.mark.slow
async def test_a_fingerprint_is_the_same_on_postgres(curator: DataCurator, postgres_url: str) -> None:
    dataset = await curator.build("support", now=noon)
    postgres = open_store(postgres_url)
    fill(postgres)

    same = await DataCurator(target_size=15, min_examples=5, store=postgres).build("support", now=noon)

    assert same.fingerprint == dataset.fingerprint
    assert same.examples == dataset.examples
    postgres.close()


async def test_peoples_verdicts_alone_are_enough(store: Store) -> None:
    rows = traffic(80)
    store.tasks.ensure("support")
    store.interactions.add(rows)
    store.feedback.add(Feedback(interaction_id=row.id, score=5 if n % 2 else 1) for n, row in enumerate(rows))

    dataset = await DataCurator(store=store).build("support", now=noon)

    golden = GoldenDataset.latest("support", store=store)
    assert golden is not None
    assert {example.score_source for example in dataset} == {"human"}
    assert len(dataset) + len(golden) == 40
    assert golden.with_reference == len(golden)


async def test_what_must_not_be_learned_is_left_out_by_reason(store: Store) -> None:
    rows = traffic(40)
    store.tasks.ensure("support")
    store.interactions.add(
        [
            rows[0].model_copy(update={"status": "error", "response": None}),
            rows[1].model_copy(update={"response": Message(role="assistant", content="  ")}),
            *rows[2:],
        ]
    )
    notes = judged(rows)
    injected = notes[4].model_copy(update={"status": "suspected_injection", "overall": None})
    store.annotations.add([*notes[:3], injected, *notes[5:]])
    store.feedback.add([Feedback(interaction_id=rows[4].id, score=5)])
    everything = SplitPolicy(golden=0, validation=0)

    dataset = await DataCurator(store=store, min_examples=1, splits=everything).build("support", now=noon)

    counts = dataset.manifest["counts"]
    assert (counts["failed"], counts["empty"], counts["suspected_injection"], counts["unscored"]) == (1, 1, 1, 1)
    assert rows[4].id not in {example.interaction_id for example in dataset}
    assert dataset.manifest["parents"]["golden"] is None


async def test_a_correction_is_what_is_learned(store: Store) -> None:
    rows = traffic(30)
    store.tasks.ensure("support")
    store.interactions.add(rows)
    store.annotations.add(judged(rows))
    store.feedback.add([Feedback(interaction_id=rows[0].id, score=1, correction="It was settled yesterday.")])

    dataset = await DataCurator(store=store, min_examples=1, splits=SplitPolicy(golden=0)).build("support", now=noon)

    learned = next(example for example in dataset if example.interaction_id == rows[0].id)
    assert (learned.response.text, learned.score, learned.score_source) == ("It was settled yesterday.", 5.0, "correction")
    assert learned.reason == "scored 5, corrected by a person; all 13 eligible examples fit"


async def test_the_window_ends_now_and_older_traffic_still_decides_the_groups(curator: DataCurator, store: Store) -> None:
    dataset = await curator.build("support", time_window="23h", now=lambda: NOON + timedelta(hours=24))

    assert dataset.source_interactions == 60
    assert dataset.manifest["older_interactions"] == 60
    assert dataset.manifest["splits"]["interactions"] == 120
    assert dataset.manifest["window"]["first"] == (NOON + timedelta(hours=1)).isoformat()


async def test_a_tasks_policy_sets_the_curator_and_its_window(store: Store) -> None:
    fill(store)
    policy = TaskPolicy(task="support", curation=CurationPolicy(target_size=7, min_examples=3, time_window=None))

    dataset = await DataCurator.for_task(policy, store=store).build("support", now=lambda: NOON + timedelta(days=900))

    assert (len(dataset), dataset.source_interactions) == (7, 120)
    assert dataset.manifest["config"]["time_window"] is None


async def test_too_little_data_says_how_much_there_is_and_why(store: Store) -> None:
    fill(store, 20)

    with pytest.raises(NotEnoughData, match=r"20 are needed; of 20 interactions from the last 30d .* below quality.*0 are older"):
        await DataCurator(store=store).build("support", "30d", now=noon)
    with pytest.raises(NotEnoughData, match=r"of 0 interactions from the last 30d .* 20 are older"):
        await DataCurator(store=store).build("support", "30d", now=lambda: NOON + timedelta(days=400))


async def test_an_unknown_task_is_named(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="no task 'suport'"):
        await DataCurator(store=store).build("suport")


def test_an_impossible_setting_is_refused_before_any_work() -> None:
    with pytest.raises(ConfigurationError, match="min_quality_score"):
        DataCurator(min_quality_score=7)


async def test_progress_is_told_stage_by_stage(curator: DataCurator) -> None:
    steps: list[tuple[int, int, str]] = []

    await curator.build("support", now=noon, on_progress=lambda *told: steps.append(told))

    stages = [(done, total) for done, total, note in steps if not note.startswith("embedding")]
    assert stages == [(n, 7) for n in range(8)]
    assert any(note.startswith("embedding") for *_, note in steps)


async def test_the_manifest_explains_the_version(curator: DataCurator, home: Path) -> None:
    dataset = await curator.build("support", now=noon)

    manifest = json.loads((home / "datasets" / "support" / dataset.name / "manifest.json").read_text())
    assert manifest == dataset.manifest
    assert manifest["config"]["embedder"] == "hashed-384-0"
    assert sum(row["selected"] for row in manifest["coverage"]["classes"]) == 15
    assert sum(manifest["score_histogram"].values()) == 120 - manifest["counts"]["golden"]


@pytest.mark.slow
async def test_what_was_trained_on_never_becomes_golden(store: Store) -> None:
    fill(store, 60)
    first = await DataCurator(store=store, min_examples=1, splits=SplitPolicy(golden=0)).build("support", now=noon)

    await DataCurator(store=store, min_examples=1, splits=SplitPolicy(golden=0.9)).build("support", now=noon)

    golden = GoldenDataset.latest("support", store=store)
    assert golden is not None
    assert {item.interaction_id for item in golden}.isdisjoint(example.interaction_id for example in first)


def test_the_builders_traffic_has_as_many_groups_as_questions() -> None:
    assert len({row.messages for row in interactions(50)}) == 50


@pytest.mark.slow
async def test_a_turn_learns_only_what_came_since_the_model_it_continues(store: Store) -> None:
    fill(store)
    curator = DataCurator.for_task(TaskPolicy(task="support"), store=store)
    first = await curator.build("support", now=noon)
    checkpoint = Checkpoint(task="support", version=1, base_model="b", uri="u", dataset_id=first.fingerprint)
    store.checkpoints.add(checkpoint)

    # Until the guard has spoken for the model nothing counts as learned, and the same build gives the same version.
    assert (await curator.build("support", now=noon)).fingerprint == first.fingerprint

    approved = {"task": "support", "checkpoint_id": checkpoint.id, "baseline": "production", "golden_id": "g", "approved": True}
    store.verdicts.add(Verdict(status=VerdictStatus.APPROVED, **approved))
    with pytest.raises(NotEnoughData, match="120 are older or learned already"):
        await curator.build("support", now=noon)

    newer = traffic(240)[120:]
    store.interactions.add(newer)
    store.annotations.add(judged(newer))
    second = await curator.build("support", now=noon)
    everything = await DataCurator(store=store).build("support", now=noon)

    assert {example.interaction_id for example in second} <= {row.id for row in newer}
    assert len(everything) > len(second)


async def test_a_control_of_the_same_size_is_drawn_from_the_same_rows_and_can_be_trained_on(
    curator: DataCurator, store: Store
) -> None:
    dataset = await curator.build("support", now=noon)

    control = dataset.control
    assert control is not None
    assert len(control) == len(dataset) == 15
    assert {example.interaction_id for example in control} != {example.interaction_id for example in dataset}
    assert [example.split for example in control].count("validation") == [e.split for e in dataset].count("validation")
    assert dataset.manifest["control"]["selection"]["rows"] == dataset.manifest["control"]["control"]["rows"] == 15
    record = store.datasets.get(control.name)
    assert record is not None
    assert Dataset.read(record.uri, verify=True).examples == control.examples
    assert store.datasets.latest("support").id == dataset.fingerprint


@pytest.mark.slow
async def test_without_a_control_none_is_drawn_and_the_version_is_another(curator: DataCurator, store: Store) -> None:
    first = await curator.build("support", now=noon)
    second = await DataCurator(target_size=15, min_examples=5, control=False, store=store).build("support", now=noon)

    assert second.control is None
    assert second.examples == first.examples
    assert second.fingerprint != first.fingerprint


async def test_what_people_preferred_stands_beside_the_examples(store: Store) -> None:
    rows = traffic(60)
    again = [row.model_copy(update={"id": f"again-{row.id}", "response": assistant("Ask somebody else.")}) for row in rows[:20]]
    store.tasks.ensure("support")
    store.interactions.add([*rows, *again])
    store.feedback.add(
        [
            *(Feedback(interaction_id=row.id, score=5) for row in rows),
            *(Feedback(interaction_id=row.id, score=1) for row in again),
            *(Feedback(interaction_id=row.id, score=2, correction="It was settled yesterday.") for row in rows[30:40]),
        ]
    )

    dataset = await DataCurator(store=store, splits=SplitPolicy(golden=0.2, validation=0)).build("support", now=noon)

    golden = GoldenDataset.latest("support", store=store)
    held = {item.interaction_id for item in golden}
    chosen = {pair.interaction_id: pair for pair in dataset.preferences}
    assert held.isdisjoint(one for pair in dataset.preferences for one in (pair.interaction_id, pair.rejected_id))
    assert {row.id for row in rows[:20]} - held <= set(chosen) | {pair.rejected_id for pair in dataset.preferences}
    assert all(pair.rejected.text == "Ask somebody else." for pair in dataset.preferences if pair.source == "verdicts")
    assert all(example.response.text != "Ask somebody else." for example in dataset)
    assert {answer.desirable for answer in dataset.rated_answers} == {True, False}
    corrected = {row.id for row in rows[30:40]} - held
    assert corrected
    assert {chosen[one].chosen.text for one in corrected} == {"It was settled yesterday."}
    assert Dataset.read(store.datasets.get(dataset.name).uri, verify=True).preferences == dataset.preferences


async def test_models_of_the_tasks_own_line_write_no_more_than_their_share(store: Store) -> None:
    rows = [
        row.model_copy(update={"model": "support-v2" if n % 4 else "gpt-4", "tags": {"intent": TOPICS[n % 5]}})
        for n, row in enumerate(traffic(160))
    ]
    store.tasks.ensure("support")
    store.interactions.add(rows)
    store.feedback.add(Feedback(interaction_id=row.id, score=5) for row in rows)

    dataset = await DataCurator(target_size=40, max_generated_share=0.25, store=store).build("support", now=noon)

    own = [example for example in dataset if example.generation]
    assert {example.generation for example in own} == {2}
    assert 0 < len(own) <= 0.25 * len(dataset)
    report = dataset.manifest["generations"]
    assert (report["cap"], report["chosen"]["2"], report["over_cap"] > 0) == (0.25, len(own), True)
    assert dataset.manifest["coverage"]["by"] == "intent"
    assert {example.intent for example in dataset} <= set(TOPICS)
    with pytest.raises(NotEnoughData, match="because models of this task wrote them"):
        await DataCurator(min_examples=60, max_generated_share=0, store=store).build("support", now=noon)


async def test_uncertain_picks_are_trained_on_only_where_somebody_else_finds_them_good(store: Store) -> None:
    fill(store)
    curator = DataCurator("uncertainty", target_size=30, min_examples=5, store=store)

    with pytest.raises(NotEnoughData, match=r"0 of 30 uncertain picks are confirmed; 30 wait for people"):
        await curator.build("support", now=noon)

    referred = [reviewed.review for reviewed in store.reviews.of("support", "referred")]
    assert len(referred) > 30
    assert any("uncertain picks" in review.reason for review in referred)
    assert any("asked for to learn from it" in review.reason for review in referred)
    picks = [review.interaction_id for review in referred if "uncertain picks" in review.reason][:10]
    store.feedback.add(Feedback(interaction_id=one, score=5) for one in picks[:8])
    store.feedback.add(Feedback(interaction_id=one, score=1) for one in picks[8:])

    dataset = await curator.build("support", now=noon)

    assert {example.interaction_id for example in dataset} <= set(picks[:8])
    assert {example.score_source for example in dataset} == {"human"}
    assert dataset.manifest["referrals"]["waiting"] > 0


@pytest.mark.slow
async def test_what_the_quality_asked_for_removes_goes_to_people(curator: DataCurator, store: Store) -> None:
    await curator.build("support", now=noon)
    referred = {reviewed.review.interaction_id for reviewed in store.reviews.of("support", "referred")}
    await curator.build("support", now=noon)

    scores = {one: annotation.overall for one, annotation in store.annotations.of(referred).items()}
    assert scores
    assert max(scores.values()) < 3.5
    assert {reviewed.review.interaction_id for reviewed in store.reviews.of("support", "referred")} == referred
    golden = GoldenDataset.latest("support", store=store)
    assert golden is not None
    assert referred.isdisjoint(item.interaction_id for item in golden)


@pytest.mark.slow
async def test_the_next_version_is_measured_with_the_clusters_of_the_last(store: Store) -> None:
    fill(store, 400)
    curator = DataCurator(target_size=40, store=store)
    first = (await curator.build("support", now=noon)).manifest["coverage"]
    newer = traffic(412)[400:]
    store.interactions.add(newer)
    store.annotations.add(judged(newer))

    second = (await curator.build("support", now=noon)).manifest["coverage"]

    assert second["frozen"]["base64"] == first["frozen"]["base64"]
    assert (first["lost_since"], second["refitted"]) == (None, False)
    assert second["lost_since"] is not None


async def test_the_report_of_what_was_kept_apart_is_in_the_manifest(curator: DataCurator) -> None:
    dataset = await curator.build("support", now=noon)

    report = dataset.manifest["decontamination"]
    assert report["exact_contexts"] == 0
    assert report["golden_items"] > 0
    assert report["written"]["rows"] >= 2 * len(dataset)
    assert set(report["sides"]["on_both_sides"].values()) <= {0}


@pytest.mark.slow
async def test_each_text_is_embedded_once(curator: DataCurator, store: Store, home: Path) -> None:
    told: list[str] = []
    await curator.build("support", now=noon)
    other = DataCurator(target_size=12, min_examples=5, store=store)

    await other.build("support", now=noon, on_progress=lambda done, total, note: told.append(note))

    assert not [note for note in told if note.startswith("embedding")]
    assert list((home / "embeddings" / "hashed-384-0").glob("part-*.parquet"))


async def test_what_a_reader_must_know_stands_among_the_notes(store: Store) -> None:
    rows = [row.model_copy(update={"conversation_id": "one"}) for row in traffic(60)]
    store.tasks.ensure("support")
    store.interactions.add(rows)
    store.feedback.add(Feedback(interaction_id=row.id, score=5) for row in rows)

    notes = " / ".join((await DataCurator(store=store).build("support", now=noon)).manifest["notes"])

    assert "nothing is held out" in notes
    assert "too large to be held out, the largest with 60 interactions" in notes
    assert "there is no random control: everything eligible was taken" in notes


async def test_where_everything_is_golden_the_way_out_is_said(store: Store) -> None:
    fill(store, 40)
    with pytest.raises(NotEnoughData, match=r"lower splits\.golden"):
        await DataCurator(store=store, splits=SplitPolicy(golden=0.99, validation=0)).build("support", now=noon)


@pytest.mark.parametrize("seed", [-1, "x", True])
def test_a_seed_that_is_none_is_refused(seed: object) -> None:
    with pytest.raises(ConfigurationError, match="a whole number from 0 up"):
        DataCurator(seed=seed)  # pyright: ignore[reportArgumentType]
