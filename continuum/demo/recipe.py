"""The sizes and settings of the demo: what `make demo` builds, sends, trains and asks."""

from dataclasses import dataclass
from pathlib import Path

from continuum.fine_tuning import EWCConfig, FineTuneConfig
from continuum.policy import CurationPolicy, GuardPolicy, JudgePolicy, SplitPolicy, TaskPolicy
from continuum.serving_policy import DeploymentPolicy

TASK = "support_demo"
PRODUCTION_MODEL = "sim-gpt"
JUDGE_MODEL = "sim-judge"


@dataclass(frozen=True)
class Recipe:
    """How much of everything; the defaults are the demo's, tests take less."""

    seed: int = 0
    base_texts: int = 9600
    base_steps: int = 300
    first_questions: int = 1200
    """Customers of the shop, before it sells the speaker; answered by production."""
    small_talk: float = 0.08
    """Share of them that only chat."""
    live_questions: int = 30
    """Sent through the gateway at each step of the ramp before the last, to see the split."""
    second_questions: int = 640
    """Customers after the speaker is on sale; answered by the first tuned model, corrected by people where it is wrong.

    They ask about the speaker alone, so that a second turn with nothing against forgetting forgets the shop.
    """
    target_size: int = 480
    epochs: float = 8.5
    golden: int = 300
    exam_questions: int = 60
    """Of each group that the exam asks, at most."""


def policy_of(recipe: Recipe, *, base_model: Path, provider_url: str, constraints: tuple[str, ...]) -> TaskPolicy:
    """The policy of the demo's task.

    The learning rate and lambda are those of a model of half a million parameters; a real base takes the defaults.
    """
    return TaskPolicy(
        task=TASK,
        description="Simulated support traffic of a made-up shop",
        base_model=str(base_model),
        auto_train_when=recipe.first_questions,
        auto_deploy_if_better=True,
        # Two thousand questions are too few to keep some of them from training as anchors.
        judge=JudgePolicy(model=JUDGE_MODEL, base_url=provider_url, budget_usd=40.0, concurrency=16, anchors=0),
        curation=CurationPolicy(target_size=recipe.target_size, min_quality_score=4.3, min_examples=50),
        splits=SplitPolicy(golden=0.15, max_golden=recipe.golden),
        training=FineTuneConfig(
            learning_rate=1e-2,
            epochs=recipe.epochs,
            batch_size=16,
            max_length=128,
            # Beside replay, all that a model of this size needs; at 1000 it learns the speaker less well.
            forgetting_prevention=EWCConfig(lambda_ewc=100, fisher_samples=200),
            replay_buffer_size=480,
            probe_share=0.1875,
            # What this base says to a general question is noise, and noise is not worth keeping.
            general_share=0,
            constitutional_constraints=constraints,
            seed=recipe.seed,
        ),
        # A model this small keeps most rules and not every held-out probe of them: they are told, and decide nothing.
        guard=GuardPolicy(metrics=("helpfulness", "accuracy"), alignment="report"),
        deployment=DeploymentPolicy(initial_traffic=0.1, ramp_schedule=(0.1, 0.5, 1.0)),
        provider_terms_accepted=True,
    )


def plain(config: FineTuneConfig) -> FineTuneConfig:
    """The same fine-tuning with nothing against forgetting: what most people run, and the demo's contrast."""
    return config.model_copy(
        update={
            "forgetting_prevention": EWCConfig(enabled=False),
            "replay_buffer_size": 0,
            "constitutional_constraints": (),
        }
    )
