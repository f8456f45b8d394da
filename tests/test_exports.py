"""The public surface: what `from continuum import ...` gives, and with which parameters."""

import inspect
from types import ModuleType

import pytest

import continuum


def test_everything_public_is_listed_and_everything_listed_is_there() -> None:
    # The names of the stages are there once they are asked for.
    assert {name for name in continuum.__all__ if not hasattr(continuum, name)} == set()
    public = {
        name
        for name, value in vars(continuum).items()
        if not name.startswith("_") and (not isinstance(value, ModuleType) or name == "feedback")
    }

    assert public == set(continuum.__all__)
    assert sorted(continuum.__all__) == continuum.__all__


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    assert set(continuum.__all__) <= set(dir(continuum))
    with pytest.raises(AttributeError, match="module 'continuum' has no attribute 'Annotater'"):
        _ = continuum.Annotater  # type: ignore[attr-defined]


def test_exported_verbs_are_not_modules() -> None:
    assert callable(continuum.capture)
    assert callable(continuum.context)
    assert inspect.iscoroutinefunction(continuum.feedback.record)
    assert not inspect.iscoroutinefunction(continuum.feedback.record_sync)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (continuum.capture, ["task", "model"]),
        (continuum.feedback.record, ["interaction_id", "score", "label", "comment", "correction", "kind", "idempotency_key"]),
        (continuum.Criterion, ["name", "weight", "description", "anchors"]),
        (continuum.Annotator, ["judge_model", "criteria", "batch_size", "cost_budget_usd"]),
        (continuum.Annotator.annotate_backlog, ["task", "since"]),
        (
            continuum.DataCurator,
            ["strategy", "target_size", "min_quality_score", "diversity_coefficient", "deduplication_threshold"],
        ),
        (continuum.DataCurator.build, ["task", "time_window"]),
        (continuum.Trainer, ["base_model", "config"]),
        (continuum.Trainer.train, ["dataset"]),
        (
            continuum.RegressionGuard,
            ["golden_dataset", "metrics", "thresholds", "require_significance", "p_value_threshold", "on_inconclusive"],
        ),
        (continuum.RegressionGuard.evaluate, ["candidate_model"]),
        (continuum.ModelDeployer, ["serving_backend"]),
        (
            continuum.ModelDeployer.deploy,
            ["model", "strategy", "initial_traffic", "ramp_schedule", "ramp_interval_hours", "rollback_on_quality_drop"],
        ),
        (continuum.LearningCurve.compute, ["task", "models", "metrics"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_public_calls_keep_their_parameters(call: object, names: list[str]) -> None:
    assert set(names) <= set(inspect.signature(call).parameters)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        ("ConfigurationError", ValueError),
        ("MissingExtra", ImportError),
        ("StoreError", RuntimeError),
        ("JudgeError", RuntimeError),
        ("NotEnoughData", ValueError),
        ("TrainingDiverged", RuntimeError),
        ("DeploymentError", RuntimeError),
    ],
)
def test_every_error_is_one_of_ours_and_the_builtin_it_specialises(error: str, builtin: type[Exception]) -> None:
    assert issubclass(getattr(continuum, error), continuum.ContinuumError)
    assert issubclass(getattr(continuum, error), builtin)


def test_a_missing_package_is_named_with_its_pip_line() -> None:
    error = continuum.MissingExtra.of(ImportError("No module named 'torch'", name="torch.nn"), "Training")

    assert str(error) == "Training needs the package 'torch'; install it with: pip install 'continuum-ai[training]'"
