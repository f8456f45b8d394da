"""Forgetting somebody: what was said is gone from every table, file and index, and nothing else has changed."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from continuum.config import load_settings
from continuum.dataset import Dataset
from continuum.deployment.settling import Hooks
from continuum.embedding.cache import cached_embedder
from continuum.erasing.finding import Request
from continuum.erasing.receipt import Receipt
from continuum.erasure import forget, preview
from continuum.errors import ConfigurationError, DeploymentError
from continuum.flywheel import claimed
from continuum.provenance.line import head_of_line
from continuum.records import Feedback
from continuum.serving_records import DeploymentState
from continuum.splits.golden import GoldenDataset
from continuum.spool.users import hashed_user, user_key
from continuum.store.database import Store
from continuum.store.tables import metadata
from tests.builders import NOON, an_interaction, assistant, user
from tests.erased_world import CANARY, JANE, LATER, World, hashes, remains, rows_of, said

pytestmark = pytest.mark.slow
NEEDLES = (CANARY, JANE, "jane-")


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    """Jane's words in every place."""
    return World(store, tmp_path)


async def forgotten(world: World, request: Request | None = None) -> Receipt:
    """Forget Jane."""
    hooks = Hooks(tracker=lambda: world.tracker, drain_s=0)
    return await forget(request or Request(user=JANE), store=world.store, tracker=world.tracker, hooks=hooks, now=lambda: LATER)


async def test_no_word_and_no_id_of_hers_is_left_in_any_table_file_or_index(world: World, home: Path, tmp_path: Path) -> None:
    needles = (*NEEDLES, hashed_user(JANE, user_key()))
    places = {place.rpartition(": ")[0] for place in remains(world.store, [home, tmp_path / "runs"], needles)}
    tables = {place.partition(".")[0] for place in places if not place.startswith("/")}
    assert tables >= {
        *(
            "bodies",
            "interactions",
            "feedback",
            "annotations",
            "reviews",
            "judgements",
            "shadow_answers",
            "golden_answers",
            "sides",
        ),
        *("dataset_items", "anchor_rounds", "verdicts", "deployment_events", "notifications"),
    }
    parts = {Path(place).relative_to(tmp_path).parts[1] for place in places if place.startswith("/")}
    assert parts >= {"snapshots", "datasets", "checkpoints", "dagster", "logs"}
    assert any(part.startswith("continuum.db") for part in parts)

    receipt = await forgotten(world)

    assert remains(world.store, [home, tmp_path / "runs"], needles) == []
    assert receipt.troubles == ()
    assert receipt.found["interactions"] == 6
    assert receipt.found["feedback"] == 8


async def test_what_models_that_learned_from_it_answered_others_goes_and_what_a_clean_one_did_stays(world: World) -> None:
    receipt = await forgotten(world)

    assert [(row["model"], row["interaction_id"]) for row in rows_of(world.store, "golden_answers")] == [("c1", "row-3")]
    assert [(row["deployment_id"], row["interaction_id"]) for row in rows_of(world.store, "shadow_answers")] == [("d-1", "row-2")]
    assert receipt.done["weights"]["answers of theirs"] == 3


async def test_what_others_said_and_what_was_made_of_that_alone_is_what_it_was_to_the_byte(world: World, home: Path) -> None:
    others = {one.id: one for one in world.store.interactions.scan("support", status=None) if not one.id.startswith("jane-")}
    untouched = [home / "datasets" / "support" / "support_training_v1", home / "checkpoints" / "support" / "c1"]
    before = [hashes(folder) for folder in untouched]

    await forgotten(world)

    assert {one.id: one for one in world.store.interactions.scan("support", status=None)} == others
    assert [hashes(folder) for folder in untouched] == before
    with world.store.engine.connect() as connection:
        kept = connection.execute(select(func.count()).select_from(metadata.tables["feedback"])).scalar()
    assert kept == 80


async def test_models_that_learned_from_it_serve_no_more_and_the_last_clean_one_does(world: World, home: Path) -> None:
    receipt = await forgotten(world)

    assert receipt.quarantined == ("support-v2", "support-v3")
    assert receipt.serving == {"support": "support-v1"}
    assert receipt.to_rebuild == {"support": 2}
    states = {one.model: one.state for one in world.store.deployments.of("support")}
    assert states == {"support-v3": DeploymentState.ROLLED_BACK, "support-v1": DeploymentState.LIVE}
    head = head_of_line(world.store, "support")
    assert head is not None
    assert head.name == "support-v1"
    assert {path.name for path in (home / "checkpoints" / "support" / "c3").iterdir()} == {"manifest.json"}
    assert world.tracker.run(world.models[2].mlflow_run_id or "") == {}


async def test_a_quarantined_model_is_not_deployed_again(world: World) -> None:
    from continuum.deployment.deployer import ModelDeployer

    await forgotten(world)

    with pytest.raises(DeploymentError, match="quarantined: the model that it was continued from was trained on what was erased"):
        await ModelDeployer(store=world.store).deploy(world.models[2], unguarded=True)


async def test_a_version_that_lost_rows_serves_the_others_and_says_so(world: World) -> None:
    record = world.store.datasets.get(world.with_jane)
    assert record is not None
    before = Dataset.read(record.uri)

    await forgotten(world)

    after = Dataset.read(record.uri, verify=True)
    hers = {one.interaction_id for one in before if one.interaction_id.startswith("jane-")}
    assert hers
    assert [one.interaction_id for one in after] == [one.interaction_id for one in before if one.interaction_id not in hers]
    assert after.erased >= len(hers)
    assert after.fingerprint == before.fingerprint
    members = [item.interaction_id for item in world.store.datasets.items(record.id)]
    assert sum(one.startswith("erased-") for one in members) == len(hers)


async def test_a_golden_version_keeps_the_hashes_of_its_items_and_is_read_without_hers(world: World) -> None:
    assert world.golden is not None
    before = len(world.golden)

    await forgotten(world)

    left = GoldenDataset.latest("support", store=world.store)
    assert before - len(left) == 3
    assert len(left.manifest["item_hashes"]) == before


async def test_the_index_holds_no_vector_of_hers_and_all_of_others(store: Store) -> None:
    only_jane = [said(n) for n in range(6)]
    store.tasks.ensure("support")
    store.interactions.add(only_jane)
    embedder = cached_embedder(load_settings())
    from continuum.erasing.finding import embedded_texts

    embedder.embed(sorted({text for one in only_jane for text in embedded_texts(one)} | {"the words of somebody else"}))

    await forget(Request(user=JANE), store=store, now=lambda: LATER)

    again = cached_embedder(load_settings())
    again.embed([*{text for one in only_jane for text in embedded_texts(one)}, "the words of somebody else"])
    assert again.hits == 1


async def test_what_was_forgotten_is_refused_when_it_comes_again_and_counted(world: World) -> None:
    receipt = await forgotten(world)
    others = world.store.interactions.count("support")
    old_by_her = an_interaction("Another old one", id="never-seen", user_id=JANE, started_at=NOON)

    world.store.interactions.add([*world.jane, old_by_her])
    world.store.feedback.add(
        [
            Feedback(interaction_id="jane-0", score=5),
            Feedback(interaction_id="chatcmpl-jane-0", score=5),
            Feedback(id="f-hers", interaction_id="row-3", score=5),
        ]
    )

    assert world.store.interactions.count("support") == others
    assert world.store.feedback.of(world.jane) == {}
    assert world.store.erasures.refused(receipt.erasure_id)[1] == 10


async def test_what_she_says_afterwards_is_new_and_kept(world: World) -> None:
    await forgotten(world)
    new = an_interaction("Hello again", id="new", user_id=hashed_user(JANE, user_key()), started_at=LATER + timedelta(seconds=1))

    world.store.interactions.add([new])

    assert world.store.interactions.get("new") == new


async def test_who_is_blocked_is_refused_from_now_on(world: World) -> None:
    await forgotten(world, Request(user=JANE, block=True))

    world.store.interactions.add([an_interaction("Hello again", id="new", user_id=JANE, started_at=LATER + timedelta(days=1))])

    assert world.store.interactions.get("new") is None


async def test_in_one_task_only_that_tasks_words_go(world: World) -> None:
    world.store.tasks.ensure("sales")
    elsewhere = an_interaction("What does it cost?", id="sold", task="sales", user_id=JANE, started_at=NOON)
    world.store.interactions.add([elsewhere])

    receipt = await forgotten(world, Request(user=JANE, task="support"))

    assert receipt.tasks == ("support",)
    assert world.store.interactions.get("sold") == elsewhere
    assert world.store.interactions.get("jane-0") is None


async def test_an_interaction_takes_along_what_quotes_it_and_nothing_else_of_its_conversation(store: Store) -> None:
    store.tasks.ensure("support")
    first = an_interaction("My key is under the blue mat", "Noted.", id="first", conversation_id="c")
    context = (*first.messages, assistant("Noted."), user("And the gate?"))
    second = an_interaction(id="second", conversation_id="c", messages=context, started_at=NOON + timedelta(minutes=1))
    other = an_interaction("When do you close?", "At six.", id="other", conversation_id="c")
    store.interactions.add([first, second, other])

    receipt = await forget(Request(interactions=("first",)), store=store)

    assert [one.id for one in store.interactions.scan("support")] == ["other"]
    assert receipt.found["quoted by others"] == 1


async def test_where_she_wrote_the_answer_to_another_the_versions_lose_that_row_too(world: World) -> None:
    record = world.store.datasets.get(world.with_jane)
    assert record is not None
    row = next(one.interaction_id for one in Dataset.read(record.uri) if one.interaction_id.startswith("row-"))
    mended = Feedback(id="mended", interaction_id=row, user_id=JANE, correction=f"Ask {CANARY}", recorded_at=NOON)
    world.store.feedback.add([mended])

    receipt = await forgotten(world)

    assert receipt.found["rewritten by the user"] == 1
    assert row not in {one.interaction_id for one in Dataset.read(record.uri)}


async def test_the_same_again_finds_nothing_and_changes_nothing(world: World, home: Path) -> None:
    await forgotten(world)
    before = hashes(home / "datasets") | hashes(home / "checkpoints")

    again = await forgotten(world)

    assert sum(again.found.values()) == 0
    assert hashes(home / "datasets") | hashes(home / "checkpoints") == before


async def test_a_dry_run_names_what_would_go_and_leaves_everything(world: World, home: Path) -> None:
    before = hashes(home)

    found = preview(Request(user=JANE), store=world.store, now=lambda: LATER)

    assert found.counts["interactions"] == 6
    assert found.versions == ("support_training_v2",)
    assert found.models == ("support-v2", "support-v3")
    assert found.serving == ("support-v3",)
    changed = {name for name, digest in hashes(home).items() if before.get(name) != digest}
    assert not {name for name in changed if not name.startswith("continuum.db")}


async def test_the_receipt_holds_nothing_of_her_and_its_hash_is_of_all_the_rest(world: World) -> None:
    receipt = await forgotten(world)

    told = json.dumps(receipt.model_dump(mode="json"))
    assert not [one for one in (*NEEDLES, hashed_user(JANE, user_key())) if one in told]
    assert receipt.sealed() == receipt
    assert receipt.model_copy(update={"troubles": ("x",)}).sealed().sha256 != receipt.sha256
    assert any("backups" in place for place in receipt.out_of_reach)
    assert any("answered other users in live traffic" in place for place in receipt.out_of_reach)


async def test_what_could_not_be_done_is_told_and_the_same_command_does_it(world: World, home: Path, tmp_path: Path) -> None:
    manifest = home / "datasets" / "support" / "support_training_v2" / "manifest.json"
    whole = manifest.read_bytes()
    manifest.write_text("{")
    first = await forgotten(world)
    manifest.write_bytes(whole)

    second = await forgotten(world)

    assert any("support_training_v2" in trouble for trouble in first.troubles)
    assert second.troubles == ()
    assert second.erasure_id == first.erasure_id
    assert second.quarantined == ("support-v2", "support-v3")
    assert remains(world.store, [home, tmp_path / "runs"], NEEDLES) == []


async def test_a_golden_set_that_cannot_be_read_is_told_and_the_same_command_erases_from_it(world: World, home: Path) -> None:
    rows = max((home / "datasets" / "support").glob("support_golden_*/*.parquet"))
    whole = rows.read_bytes()
    rows.write_bytes(b"no parquet")
    first = await forgotten(world)
    rows.write_bytes(whole)

    second = await forgotten(world)

    assert any("golden set" in trouble for trouble in first.troubles)
    assert second.troubles == ()
    assert second.erasure_id == first.erasure_id
    assert remains(world.store, [home], NEEDLES) == []


async def test_a_turn_under_way_is_not_disturbed_and_the_same_command_goes_on(world: World) -> None:
    with claimed(world.store, "support"), pytest.raises(ConfigurationError, match="is being turned by"):
        await forgotten(world)
    assert world.store.interactions.count("support") == 86

    receipt = await forgotten(world)

    assert receipt.found["interactions"] == 6
    assert len(world.store.erasures.every()) == 1


async def test_what_is_asked_must_be_one_thing() -> None:
    with pytest.raises(ConfigurationError, match="name a user or interactions"):
        Request()
    with pytest.raises(ConfigurationError, match="--block goes with --user"):
        Request(interactions=("a",), block=True)
