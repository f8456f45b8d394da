"""Whole turns through Dagster itself, with real training."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg2
import pytest

from continuum.config import load_settings
from continuum.fine_tuning import FineTuneConfig
from continuum.policy import TaskPolicy
from continuum.records import Checkpoint, Feedback, VerdictStatus
from continuum.store import default_store
from continuum.store.database import Store
from continuum_pipelines.handover import metadata_of
from continuum_pipelines.instance import open_instance
from continuum_pipelines.turn import TurnOutcome, main, run_turn
from tests.builders import an_interaction

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RIGHT = "It takes two days."
TRAINING = FineTuneConfig(learning_rate=1e-2, epochs=4, batch_size=8, max_length=64, lora_rank=8, lora_alpha=16)
ONE_STEP = TRAINING.model_copy(update={"epochs": 0.01})


def captured(store: Store, *, production_is_right: bool, count: int = 240) -> None:
    """Questions that people have answered for: with praise where production was right, with a correction where it was not."""
    said = RIGHT if production_is_right else "I do not know."
    verdict = {"score": 5.0} if production_is_right else {"score": 1.0, "correction": RIGHT}
    rows = [an_interaction(f"order {n}: how long does it take?", said, conversation_id=f"c{n}") for n in range(count)]
    store.interactions.add(rows)
    store.feedback.add(Feedback(interaction_id=row.id, **verdict) for row in rows)


def register(store: Store, base: Path, training: FineTuneConfig = TRAINING, **policy: object) -> None:
    store.tasks.register(
        TaskPolicy(
            task="support",
            base_model=str(base),
            training=training,
            auto_deploy_if_better=True,
            provider_terms_accepted=True,
            **policy,
        )
    )


@pytest.fixture
def postgres(postgres_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of a team: the store and Dagster's memory in two databases of one Postgres."""
    connection = psycopg2.connect(postgres_url)
    connection.autocommit = True
    names = {"CONTINUUM_DATABASE_URL": "turn_store", "DAGSTER_POSTGRES_URL": "turn_dagster"}
    with connection.cursor() as cursor:
        for variable, database in names.items():
            cursor.execute(f"CREATE DATABASE {database}")
            url = postgres_url.replace("/postgres?", f"/{database}?").replace("postgresql://", "postgresql+psycopg2://")
            monkeypatch.setenv(variable, url)
    (home / "dagster").mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "dagster.yaml", home / "dagster")
    yield
    default_store().close()
    with connection.cursor() as cursor:
        for database in names.values():
            cursor.execute(f"DROP DATABASE {database} WITH (FORCE)")
    connection.close()


def check_of(instance: dg.DagsterInstance, outcome: TurnOutcome) -> dg.AssetCheckEvaluation:
    records = instance.all_logs(outcome.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    found = [entry.get_dagster_event().asset_check_evaluation_data for entry in records]
    (check,) = (evaluation for evaluation in found if evaluation.check_name == "no_regression")
    return check


def newest(store: Store) -> Checkpoint:
    return store.checkpoints.of("support")[-1]


def test_a_turn_leads_interactions_to_a_canary_and_can_be_repeated(
    store: Store, tiny_base: Path, capsys: pytest.CaptureFixture
) -> None:
    register(store, tiny_base)
    captured(store, production_is_right=False)
    notes: list[str] = []

    with open_instance() as instance:
        first = run_turn("support", instance=instance, on_progress=lambda done, total, note: notes.append(note))
        check = check_of(instance, first)
        shown = metadata_of(instance.fetch_materializations(dg.AssetKey("lora_checkpoint"), limit=1).records[0])

    model = newest(store)
    verdict = store.verdicts.latest(model.id)
    (route,) = store.deployments.serving("support")
    assert verdict is not None
    assert (first.action, route.model, route.checkpoint_id) == ("canary", "support-v1", model.id)
    assert verdict.deltas["action_match"] > 0.5
    assert check.passed
    assert store.tasks.get("support").trained_through == store.interactions.last_sequence("support")
    assert first.statuses["learning_curve"].startswith("action_match, 0 to 1: ")
    assert any("golden items" in note for note in notes)
    assert shown["loss"].startswith("![loss of the batches, nats a token, to step ")
    assert (shown["checkpoint"], shown["adapter"], shown["mlflow_run"]) == (model.id, model.uri, model.mlflow_run_id)

    assert main(["support"]) == 0
    assert "waiting (0 of 20)" in capsys.readouterr().out
    assert [newest(store).id, len(store.deployments.of("support"))] == [model.id, 1]


@pytest.mark.usefixtures("postgres")
def test_a_turn_on_postgres_from_end_to_end(tiny_base: Path) -> None:
    store = default_store()
    assert load_settings().database_url.get_secret_value().startswith("postgresql+psycopg2://")
    register(store, tiny_base)
    captured(store, production_is_right=False)

    with open_instance() as instance:
        outcome = run_turn("support", instance=instance)
        run = instance.get_run_by_id(outcome.run_id)
        events = instance.all_logs(outcome.run_id)

    assert run is not None
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert "PostgresEventLogStorage" in type(instance.event_log_storage).__name__
    assert len(events) > 50
    assert outcome.action == "canary"
    assert store.deployments.serving("support")[0].model == "support-v1"


def test_a_blocked_model_leaves_production_and_fails_the_check(store: Store, tiny_base: Path) -> None:
    register(store, tiny_base, training=ONE_STEP)
    captured(store, production_is_right=True)

    with open_instance() as instance:
        outcome = run_turn("support", instance=instance)
        check = check_of(instance, outcome)
        run = instance.get_run_by_id(outcome.run_id)

    verdict = store.verdicts.latest(newest(store).id)
    assert verdict is not None
    assert verdict.status is VerdictStatus.BLOCKED
    assert outcome.action == "kept_previous"
    assert outcome.statuses["deployment"].startswith("kept_previous: blocked: ")
    assert not check.passed
    assert store.deployments.of("support") == []
    # A correct "no" is not a red run.
    assert run is not None
    assert run.status is dg.DagsterRunStatus.SUCCESS


def test_the_command_says_what_went_wrong(store: Store, capsys: pytest.CaptureFixture) -> None:
    assert main(["nobody"]) == 1
    assert "there is no task 'nobody'" in capsys.readouterr().out
