from continuum.fine_tuning import FineTuneConfig
from continuum.policy import TaskPolicy
from continuum.provenance.line import already_trained, head_of_line, learned_through, mark_learned
from continuum.records import Checkpoint, DatasetRecord, Verdict, VerdictStatus
from continuum.serving_records import DeploymentEvent, DeploymentRecord, DeploymentState
from continuum.store.database import Store


def trained(store: Store, version: int, *, through: int, status: VerdictStatus | None) -> Checkpoint:
    """A checkpoint, the dataset it learned from, and what the guard said of it."""
    name = f"support_training_v{version}"
    store.datasets.add(
        DatasetRecord(id=name, task="support", name=name, version=version, uri="d", manifest={"through": through}), []
    )
    checkpoint = Checkpoint(task="support", version=version, base_model="b", uri="u", dataset_id=name)
    store.checkpoints.add(checkpoint)
    if status is not None:
        approved = status != VerdictStatus.BLOCKED
        store.verdicts.add(
            Verdict(
                task="support",
                checkpoint_id=checkpoint.id,
                baseline="production",
                golden_id="g",
                status=status,
                approved=approved,
            )
        )
    return checkpoint


def test_a_task_without_a_model_has_no_line_and_has_learned_nothing(store: Store) -> None:
    assert head_of_line(store, "support") is None
    assert learned_through(store, "support") == 0


def test_a_blocked_or_unjudged_candidate_does_not_lead_the_line(store: Store) -> None:
    first = trained(store, 1, through=100, status=VerdictStatus.INCONCLUSIVE)
    trained(store, 2, through=200, status=VerdictStatus.BLOCKED)
    trained(store, 3, through=300, status=None)

    assert head_of_line(store, "support") == first
    assert learned_through(store, "support") == 100


def test_the_champion_leads_the_line_whatever_came_after_it(store: Store) -> None:
    champion = trained(store, 1, through=100, status=VerdictStatus.APPROVED)
    trained(store, 2, through=200, status=VerdictStatus.APPROVED)
    deployment = DeploymentRecord(
        task="support",
        checkpoint_id=champion.id,
        model=champion.name,
        stable_model="production",
        state=DeploymentState.LIVE,
        traffic=1,
    )
    store.deployments.add(deployment, DeploymentEvent(deployment_id=deployment.id, actor="test", action="deploy"))

    assert head_of_line(store, "support") == champion
    assert learned_through(store, "support") == 100


def test_a_dataset_is_worth_training_on_again_when_the_recipe_or_the_base_changed(store: Store) -> None:
    trained(store, 1, through=100, status=VerdictStatus.APPROVED)
    dataset = store.datasets.get("support_training_v1")
    recipe = FineTuneConfig(epochs=2)
    policy = TaskPolicy(task="support", base_model="b", training=recipe)
    model = Checkpoint(
        task="support", version=2, base_model="b", uri="u", dataset_id=dataset.id, config=recipe.model_dump(mode="json")
    )
    store.checkpoints.add(model)

    assert already_trained(store, dataset, policy) == model
    assert already_trained(store, dataset, policy.model_copy(update={"training": FineTuneConfig(epochs=3)})) is None
    assert already_trained(store, dataset, policy.model_copy(update={"base_model": "c"})) is None


def test_a_setting_that_came_later_does_not_make_an_old_training_another(store: Store) -> None:
    trained(store, 1, through=100, status=VerdictStatus.APPROVED)
    dataset = store.datasets.get("support_training_v1")
    old = {
        name: value for name, value in FineTuneConfig().model_dump(mode="json").items() if name not in {"packing", "precision"}
    }
    model = Checkpoint(task="support", version=2, base_model="b", uri="u", dataset_id=dataset.id, config=old)
    store.checkpoints.add(model)
    policy = TaskPolicy(task="support", base_model="b")

    assert already_trained(store, dataset, policy) == model
    packed = policy.model_copy(update={"training": FineTuneConfig(packing=True)})
    assert already_trained(store, dataset, packed) is None


def test_the_mark_moves_to_what_a_dataset_was_chosen_from_and_never_back(store: Store) -> None:
    store.tasks.ensure("support")
    for version, through in ((1, 100), (2, 60)):
        trained(store, version, through=through, status=None)
        mark_learned(store, store.datasets.get(f"support_training_v{version}"))

    assert store.tasks.get("support").trained_through == 100
