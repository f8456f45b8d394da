"""What a task asks of each stage: declarative, frozen, and stored with the task so that every process reads the same.

The application registers a task; the Dagster sensors, `continuum turn` and the gateway read its policy from the store.
"""

import re
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from continuum.errors import ConfigurationError
from continuum.fine_tuning import FineTuneConfig
from continuum.rubric import DEFAULT_CRITERIA, Criterion, check_rubric
from continuum.serving_policy import DeploymentPolicy
from continuum.strict import Policy, without_secret
from continuum.timespan import parse_span


class CapturePolicy(Policy):
    """How much of a task's traffic is kept, and for how long."""

    sample_rate: float = Field(default=1.0, gt=0, le=1)
    """Share of conversations that are captured; a conversation is captured whole or not at all."""
    retention_days: float | None = Field(default=None, gt=0, le=36_500)
    """Interactions older than this are deleted, with what was said of them; None keeps them."""


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
    confirm_golden: bool = False
    """Whether an item joins the golden set only once a person has said something of its answer."""

    @model_validator(mode="after")
    def _leaves_a_training_side(self) -> Self:
        if self.golden + self.validation >= 1:
            raise ConfigurationError(f"golden {self.golden} and validation {self.validation} leave nothing to train on")
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
    slice_resolution: float = Field(default=0.10, gt=0, lt=1)
    """As `resolution`, for a metric on one slice, which has fewer items to show anything with."""
    slice_minimum: int = Field(default=30, ge=10)
    """Groups below which a slice is reported and decides nothing."""
    capability: bool = True
    """Whether general text and what the line learned earlier are measured too."""
    general_texts: str | None = None
    """A file with one document a line that stands for what the model could do before; None for the bundled one."""
    lm_eval_folder: str | None = None
    """A folder of local lm-eval tasks, for which the `lmeval` extra is needed."""
    lm_eval_tasks: tuple[str, ...] = ()
    """Which of them are run."""
    alignment: Literal["block", "report", "off"] = "block"
    """What comes of the constraints that the candidate was trained under, and of golden items of that kind: one that is newly
    broken blocks, or it is only told, or none is tried."""
    max_violation_rate: float | None = Field(default=None, gt=0, lt=1)
    """The largest share of probes that may break a constraint; None reports the share and its upper bound."""
    ledger: bool = True
    """Whether each further candidate on the same golden questions has to show more to be approved."""

    @field_validator("lm_eval_tasks", mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("thresholds")
    @classmethod
    def _thresholds_guard_something(cls, value: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for metric, threshold in value.items():
            if set(threshold) != {"min_delta"} or not -1 <= threshold["min_delta"] <= 1:
                raise ConfigurationError(f"the threshold of {metric!r} is {threshold}; write {{'min_delta': x}}, x from -1 to 1")
        return value


class SchedulePolicy(Policy):
    """When a task's nightly work is done: judging the day, anchors that are due, retention, the learning curve."""

    time_zone: str = "UTC"
    """The task's own, by its IANA name, such as "Europe/Berlin"."""
    hour: int = Field(default=3, ge=0, le=23)
    """The hour of that zone at which it begins: where the clocks skip it, the hour after; where they repeat it, once."""

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ConfigurationError(
                f'time_zone {value!r} is none; write an IANA name such as "Europe/Berlin" or "UTC"'
            ) from error
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
    schedule: SchedulePolicy = SchedulePolicy()
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
