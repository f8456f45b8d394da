"""What a task asks of a fine-tuning: how it learns, and what holds it."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from continuum.errors import ConfigurationError
from continuum.strict import Policy


class EWCConfig(Policy):
    """Elastic weight consolidation: how strongly training is held near what earlier turns learned.

    The penalty is on the change of the merged weight (alpha/r)BA, weighted by the factored Fisher of the old data taken
    at labels sampled from the model (Kirkpatrick et al. 2017, eq. 3, in the form of `training/ewc.py`).
    """

    enabled: bool = True
    kind: Literal["ewc", "l2"] = "ewc"
    """`l2` weighs every weight alike, with the Fisher's mean, so that one lambda can be compared under both."""
    lambda_ewc: float = Field(default=1000.0, ge=0)
    fisher_samples: int = Field(default=200, ge=1)
    fisher_labels: Literal["sampled", "observed"] = "sampled"
    """`observed` is the empirical Fisher, which fades as training converges; for comparison."""
    decay: float = Field(default=1.0, gt=0, le=1)
    """Share of the earlier turns' Fisher that each turn keeps (gamma of Schwarz et al. 2018, eq. 9)."""
    budget: float | None = Field(default=None, gt=0, lt=1)
    """The most that may be lost on earlier datasets' validation, as a share of the probability that answers had before; with it
    lambda is searched for instead of taken. None leaves lambda as it is."""


class FineTuneConfig(Policy):
    """One fine-tuning run."""

    method: Literal["lora", "lora+dpo", "lora+kto"] = "lora"
    """What follows the examples: nothing, pairs that people preferred (DPO), or answers that they called good or bad (KTO)."""
    lora_rank: int = Field(default=16, ge=1)
    lora_alpha: int = Field(default=32, ge=1)
    load_in_4bit: bool = False
    """QLoRA: the base's weights in four bits; needs a GPU and bitsandbytes."""
    learning_rate: float = Field(default=2e-4, gt=0)
    epochs: float = Field(default=3, gt=0)
    batch_size: int = Field(default=16, ge=1)
    """Rows of an optimizer step, over all processes."""
    gradient_accumulation: int = Field(default=1, ge=1)
    """Parts that a batch is computed in, one after another, where it does not fit in memory at once."""
    max_length: int = Field(default=1024, ge=16)
    """Tokens a row; a longer conversation keeps its end."""
    packing: bool = False
    """Rows of a batch stand one after another in one sequence instead of each padded to the longest; no row sees another."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """`auto`: bf16 on a GPU, fp32 on a CPU."""
    gradient_checkpointing: bool | None = None
    """Compute activations again in the backward pass to save memory; None: on a GPU."""
    early_stopping_patience: int | None = Field(default=None, ge=1)
    """Looks at the validation rows without a better loss before training stops and the best weights are kept; None: never."""
    evaluations: int = Field(default=10, ge=1)
    """How often a run looks at the validation rows when it may stop early."""
    checkpoint_every: int = Field(default=50, ge=1)
    """Optimizer steps between two states that a killed run can go on from."""
    forgetting_prevention: EWCConfig = EWCConfig()
    replay_buffer_size: int = Field(default=500, ge=0)
    """Examples of earlier turns kept for replay."""
    replay_share: float = Field(default=0.25, ge=0, lt=1)
    """Share of each batch that is replayed, once there is something to replay."""
    general_share: float = Field(default=0.0625, ge=0, lt=1)
    """Share of each batch that is general questions with the base model's own answers, which keep what it could do before."""
    constitutional_constraints: tuple[str, ...] = ()
    probe_share: float = Field(default=0.125, ge=0, lt=1)
    """Share of each batch that is constraint probes with compliant answers, when there are constraints."""
    filter_violations: bool = True
    """Leave out training rows whose answer breaks a constraint."""
    constraint_pairs: bool = False
    """Train on pairs of a compliant and a violating answer too (DPO), where violating ones are known."""
    preference_epochs: float = Field(default=1, gt=0)
    preference_learning_rate: float | None = Field(default=None, gt=0)
    """None: a tenth of `learning_rate`."""
    preference_beta: float = Field(default=0.1, gt=0)
    """How far preferences may move the model from where the examples left it (beta of DPO and KTO)."""
    processes: int = Field(default=1, ge=1)
    """Processes that train together under `accelerate launch`, one a GPU."""
    seed: int = 0

    @field_validator("constitutional_constraints", mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _batch_has_new_rows(self) -> Self:
        if self.replay_share + self.probe_share + self.general_share >= 1:
            raise ConfigurationError(
                f"replay_share {self.replay_share}, probe_share {self.probe_share} and general_share {self.general_share} "
                "leave no room for new examples in a batch"
            )
        if self.batch_size % (self.processes * self.gradient_accumulation):
            raise ConfigurationError(
                f"batch_size {self.batch_size} cannot be shared out among {self.processes} processes in "
                f"{self.gradient_accumulation} parts each; make it a multiple of {self.processes * self.gradient_accumulation}"
            )
        return self
