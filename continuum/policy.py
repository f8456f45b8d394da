"""What a task asks of each stage: declarative, frozen, and stored with the task so that every process reads the same.

The application registers a task; the Dagster sensors, `continuum turn` and the gateway read its policy from the store.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from continuum.errors import ConfigurationError
from continuum.rubric import DEFAULT_CRITERIA, Criterion, check_rubric
from continuum.timespan import parse_span


class Policy(BaseModel):
    """Base of every part of a policy: frozen, strict about names.

    Raises:
        ConfigurationError: a field is unknown or its value makes no sense; the message names each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ConfigurationError(f"{type(self).__name__}: {explained(error)}") from error


def explained(error: ValidationError) -> str:
    """What pydantic found, in one line that names each field and, where the message does not say it, the value it holds."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'value'}: {item['msg'].removeprefix('Value error, ')}{_found(item)}"
        for item in error.errors()
    )


def _found(item: Mapping[str, Any]) -> str:
    # Our own refusals say what they found, or keep it back on purpose; the value of a misnamed field may be a secret.
    ours = isinstance(item.get("ctx", {}).get("error"), ConfigurationError)
    if ours or item["type"] == "extra_forbidden" or isinstance(item["input"], Mapping):
        return ""
    return f" (found {item['input']!r:.80})"


class CapturePolicy(Policy):
    """How much of a task's traffic is kept, and for how long."""

    sample_rate: float = Field(default=1.0, gt=0, le=1)
    """Share of conversations that are captured; a conversation is captured whole or not at all."""
    retention_days: float | None = Field(default=None, gt=0, le=36_500)
    """Interactions older than this are deleted, with what was said of them; None keeps them."""


def without_secret(base_url: str | None) -> str | None:
    """An endpoint's address, which everybody who reads the store may see.

    Raises:
        ConfigurationError: it is no URL, or holds a user name or a password.
    """
    try:
        address = urlsplit(base_url or "")
    except ValueError as error:
        raise ConfigurationError(f"base_url is not a URL: {error}") from error
    if base_url and (address.scheme not in ("http", "https") or not address.hostname):
        raise ConfigurationError("base_url is no endpoint's address; write http:// or https://, the host and the path up to /v1")
    if "@" in address.netloc or address.query or address.fragment:
        raise ConfigurationError(
            "base_url holds a user name, a password or a query, and a policy is stored for all to read; "
            "keys come from the environment: CONTINUUM_JUDGE_API_KEY"
        )
    return base_url


class BudgetShares(Policy):
    """How a task's budget is divided; each purpose spends its own share and never another's. The shares sum to 1 at most."""

    annotation: float = Field(default=0.5, ge=0, le=1)
    """Judging what was captured, and the test of a new judge before it."""
    guard: float = Field(default=0.3, ge=0, le=1)
    """Judging candidates: the guard and the learning curve."""
    second: float = Field(default=0.1, ge=0, le=1)
    """A second judge, who watches the first."""
    watch: float = Field(default=0.05, ge=0, le=1)
    """Judging what a canary answers."""
    probes: float = Field(default=0.05, ge=0, le=1)
    """Judging the frozen anchors again."""

    @model_validator(mode="after")
    def _are_parts_of_one(self) -> Self:
        total = sum(self.model_dump().values())
        if total > 1 + 1e-9:
            named = ", ".join(f"{name} {share:g}" for name, share in self.model_dump().items())
            raise ConfigurationError(
                f"the shares of a budget sum to {total:g} ({named}); they may sum to 1 at most: set those that give way together"
            )
        return self


Purpose = Literal["annotation", "guard", "second", "watch", "probes"]
"""What a task's money is spent on; the fields of `BudgetShares`."""


class SecondJudge(Policy):
    """A judge of another family who scores a sample, so that a judge that is gamed is found out. It never selects anything."""

    model: str | None = None
    """A model name at an OpenAI-compatible endpoint; None for no second judge."""
    base_url: str | None = None
    sample_rate: float = Field(default=0.02, ge=0, le=1)
    """Share of the judged interactions that it scores too, drawn by a salted hash."""

    @field_validator("base_url")
    @classmethod
    def _holds_no_secret(cls, value: str | None) -> str | None:
        return without_secret(value)


class JudgePolicy(Policy):
    """Who judges the task's interactions, by which criteria and for how much money."""

    model: str | None = None
    """A model name at an OpenAI-compatible endpoint; None when people's verdicts are the only labels."""
    base_url: str | None = None
    """The endpoint; None for the provider's own. The key is never stored: it comes from the environment."""
    jury: tuple[str, ...] = ()
    """More models at the same endpoint who judge beside the first; the mean of their scores counts."""
    criteria: tuple[Criterion, ...] = DEFAULT_CRITERIA
    budget_usd: float | None = Field(default=None, ge=0, le=1e9)
    """The most that everything which judges for this task may spend in a period, in every process; None for no limit."""
    budget_period: Literal["day", "week", "month"] = "month"
    """How long a budget lasts: a calendar day, a week from Monday, a calendar month; in UTC."""
    shares: BudgetShares = BudgetShares()
    concurrency: int = Field(default=8, ge=1)
    """Calls under way at once in one process; fewer while the endpoint answers 429."""
    mode: Literal["live", "batch"] = "live"
    """`batch` leaves the backlog to the provider's batch endpoint: half the price, an answer within a day."""
    sample_rate: float = Field(default=1.0, gt=0, le=1)
    """Share of the interactions that are judged, drawn by a salted hash of their ids."""
    admission: Literal["require", "warn", "off"] = "require"
    """Whether a judge must withstand the attack texts before its scores are used."""
    audit_rate: float = Field(default=0.01, ge=0, le=1)
    """Share of the judged interactions that people are asked about at random, so that the judge can be calibrated."""
    anchors: int = Field(default=60, ge=0, le=1000)
    """Interactions that are frozen and judged again each week and with each change, to see a judge drift."""
    second: SecondJudge = SecondJudge()

    @model_validator(mode="after")
    def _is_watched_by_another(self) -> Self:
        names = [name for name in (self.model, *self.jury) if name is not None]
        if "" in names or len(set(names)) < len(names) or (self.jury and self.model is None):
            raise ConfigurationError(
                f"the judges are {self.model!r} and the jury {list(self.jury)}; name model, and each of the jury once, "
                'like model="a" and jury=["b", "c"]'
            )
        if self.second.model is not None and self.second.model in (self.model, *self.jury):
            raise ConfigurationError(f"the second judge is {self.second.model!r}, who also selects; name one of another family")
        return self

    @field_validator("base_url")
    @classmethod
    def _holds_no_secret(cls, value: str | None) -> str | None:
        return without_secret(value)

    @field_validator("jury", mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("criteria")
    @classmethod
    def _can_be_judged_by(cls, value: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
        check_rubric(value)
        return value


class CurationPolicy(Policy):
    """How the training set is chosen; the defaults of `DataCurator`."""

    strategy: Literal["active_learning", "diversity", "uncertainty", "core_set"] = "active_learning"
    target_size: int = Field(default=1000, ge=1, le=100_000_000)
    min_quality_score: float = Field(default=3.5, ge=1, le=5)
    diversity_coefficient: float = Field(default=0.3, ge=0, le=1)
    deduplication_threshold: float = Field(default=0.92, gt=0, le=1)
    """Character similarity of both question and answer from which two examples are one; no cosine."""
    semantic_deduplication_threshold: float | None = Field(default=None, gt=0, le=1)
    """Cosine of both question and answer from which two examples are one too; None, the default, leaves meaning to selection."""
    max_generated_share: float = Field(default=0.5, ge=0, le=1)
    """The most of a training set that models of this task's own line may have written."""
    diversity_floor: float = Field(default=0.5, ge=0, le=1)
    """Least spread of the chosen answers, as a share of the spread of the eligible answers that no model of this line wrote."""
    intent_tag: str = Field(default="intent", min_length=1)
    """The tag of an interaction that names its intent, where the application sets one; coverage is told by it then."""
    control: bool = True
    """Draw a random control of the same size beside each selection, so that a later turn can say whether selecting helped."""
    time_window: str | None = None
    """How far back to look, such as "30d"; None for all there is."""
    only_new: bool = True
    """Learn from what came since the model that is continued was trained; replay keeps what it learned before."""
    min_examples: int = Field(default=20, ge=1)
    """Below this many curated examples a turn waits instead of training."""

    @field_validator("time_window")
    @classmethod
    def _readable_window(cls, value: str | None) -> str | None:
        if value is not None:
            parse_span(value)
        return value


class SplitPolicy(Policy):
    """Which share of a task's groups is held out; decided by a salted hash, so that nothing changes side."""

    golden: float = Field(default=0.2, ge=0, lt=1)
    validation: float = Field(default=0.05, ge=0, lt=1)
    salt: str = "continuum"
    opening_cap: int = Field(default=50, ge=1)
    """A shared opening links interactions only when at most this many start with it."""
    max_golden: int = Field(default=400, ge=1)
    """The guard asks at most this many golden items a run: whole groups, in the order of a salted hash."""

    @model_validator(mode="after")
    def _leaves_a_training_side(self) -> Self:
        if self.golden + self.validation >= 1:
            raise ConfigurationError(f"golden {self.golden} and validation {self.validation} leave nothing to train on")
        return self


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


class GuardPolicy(Policy):
    """When a candidate may be deployed; the defaults of `RegressionGuard`."""

    metrics: tuple[str, ...] | None = None
    """Names of criteria, or `action_match`: the answer's tool and arguments, or words, equal the reference's.

    None for helpfulness and accuracy where there is a judge, and for action_match where people's verdicts are all there is.
    """
    thresholds: dict[str, dict[str, float]] = {}
    """Metric to `{"min_delta": x}` on a 0-1 scale; -0.02 where none is given."""
    resolution: float = Field(default=0.03, gt=0, lt=1)
    require_significance: bool = True
    p_value_threshold: float = Field(default=0.05, gt=0, lt=1)
    on_inconclusive: Literal["canary", "hold", "approve"] = "canary"
    inconclusive_traffic: float = Field(default=0.05, gt=0, le=1)

    @field_validator("thresholds")
    @classmethod
    def _thresholds_guard_something(cls, value: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for metric, threshold in value.items():
            if set(threshold) != {"min_delta"} or not -1 <= threshold["min_delta"] <= 1:
                raise ConfigurationError(f"the threshold of {metric!r} is {threshold}; write {{'min_delta': x}}, x from -1 to 1")
        return value


class DeploymentPolicy(Policy):
    """How an approved candidate takes over; the defaults of `ModelDeployer.deploy`."""

    backend: Literal["local"] = "local"
    strategy: Literal["canary", "blue_green"] = "canary"
    initial_traffic: float = Field(default=0.05, gt=0, le=1)
    ramp_schedule: tuple[float, ...] = (0.05, 0.25, 0.50, 1.00)
    ramp_interval_hours: float = Field(default=2.0, gt=0)
    rollback_on_quality_drop: float | None = Field(default=0.05, gt=0, lt=1)

    @field_validator("ramp_schedule", mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("ramp_schedule")
    @classmethod
    def _ramp_rises(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or list(value) != sorted(set(value)) or not value[0] > 0 or value[-1] > 1:
            raise ConfigurationError(f"ramp_schedule {value} must rise from above 0 to at most 1, like (0.05, 0.25, 0.5, 1.0)")
        return value


class TaskPolicy(Policy):
    """A task and all that the wheel needs to know to turn for it."""

    task: str
    description: str = ""
    base_model: str | None = None
    """A local path or a hub id; None for `CONTINUUM_BASE_MODEL`."""
    auto_annotate: bool = True
    auto_train_when: int | None = Field(default=None, ge=1)
    """Start a turn when this many captures have come since the last; None for never by itself."""
    auto_deploy_if_better: bool = False
    capture: CapturePolicy = CapturePolicy()
    judge: JudgePolicy = JudgePolicy()
    curation: CurationPolicy = CurationPolicy()
    splits: SplitPolicy = SplitPolicy()
    training: FineTuneConfig = FineTuneConfig()
    guard: GuardPolicy = GuardPolicy()
    deployment: DeploymentPolicy = DeploymentPolicy()
    provider_terms_accepted: bool = False

    @field_validator("task")
    @classmethod
    def _name(cls, value: str) -> str:
        return checked_task_name(value)


def checked_task_name(name: str) -> str:
    """A task's name is part of file names, model names and Dagster partitions: letters, digits, `_`, `-` and `.` only.

    Raises:
        ConfigurationError: the name holds anything else, is empty, starts with a dot or is longer than 100 characters.
    """
    if not isinstance(name, str) or not re.fullmatch(r"(?!\.)[A-Za-z0-9_.-]{1,100}", name):
        raise ConfigurationError(
            f"task name {name!r} must be 1 to 100 letters, digits, '_', '-' or '.', and not start with a dot"
        )
    return name
