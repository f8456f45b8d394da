"""What a task asks of its deployments: how an approved candidate takes over, how it is watched, and when it is asked no more."""

import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from continuum.errors import ConfigurationError
from continuum.strict import Policy, without_secret

Backend = Literal["local", "vllm", "ollama", "tgi", "sagemaker"]
"""Who can serve the tuned models."""
Strategy = Literal["canary", "blue_green", "shadow"]
MAX_HOURS = 87_600.0
"""Ten years: what is longer is a slip of the pen, and no date any more."""


class WatchPolicy(Policy):
    """How a deployment's live traffic is judged, and how sure the watch is to be before it acts."""

    canary_rate: float = Field(default=1.0, gt=0, le=1)
    """Share of the candidate's conversations that are judged, drawn by a salted hash."""
    stable_rate: float = Field(default=0.5, gt=0, le=1)
    """Share of the stable model's conversations that are judged, drawn by a salted hash: a champion's fall is found the later the
    fewer are."""
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Chance of a false rollback over a whole trial, however often one looks; and of a promotion at the limit."""
    max_conversations: int = Field(default=4000, ge=100)
    """Judged conversations of the candidate for which a trial is planned."""
    after_promotion: bool = True
    """Go on judging the champion, and take it back when its quality changes for the worse."""
    healthy_conversations: int = Field(default=20_000, ge=1000)
    """After promotion, one false alarm in at least so many judged conversations on the average."""


class BreakerPolicy(Policy):
    """When the gateway itself stops asking a model, without waiting for anybody's judgement."""

    window_s: float = Field(default=30.0, gt=0)
    """Requests of this long are looked at."""
    min_requests: int = Field(default=10, ge=1)
    """Fewer say nothing."""
    error_rate: float = Field(default=0.5, gt=0, le=1)
    """Share of requests that found no answer."""
    slow_ms: float | None = Field(default=None, gt=0)
    """A first byte later than this counts as slow; None does not look at latency."""
    slow_rate: float = Field(default=0.5, gt=0, le=1)
    """Share of slow answers."""
    cool_off_s: float = Field(default=30.0, gt=0)
    """How long an open breaker waits before it lets one request through to see."""


class DeploymentPolicy(Policy):
    """How an approved candidate takes over; the defaults of `ModelDeployer.deploy`."""

    backend: Backend = "local"
    backend_url: str | None = None
    """Where the backend serves; None for `CONTINUUM_SERVING_URL`. For SageMaker `sagemaker://REGION/ENDPOINT`."""
    strategy: Strategy = "canary"
    initial_traffic: float = Field(default=0.05, gt=0, le=1)
    ramp_schedule: tuple[float, ...] = (0.05, 0.25, 0.50, 1.00)
    ramp_interval_hours: float = Field(default=2.0, gt=0, le=MAX_HOURS)
    rollback_on_quality_drop: float | None = Field(default=0.05, gt=0, lt=1)
    shadow_traffic: float = Field(default=0.10, gt=0, le=1)
    """Under strategy `shadow`: the share that the candidate answers unseen before it begins as a canary."""
    bake_hours: float = Field(default=1.0, ge=0, le=MAX_HOURS)
    """Under `blue_green`: how long it serves everybody, the model before it standing ready, before it is the champion."""
    hold_limit_hours: float = Field(default=24.0, gt=0, le=MAX_HOURS)
    """A step that has waited so long for evidence raises an alarm; it never goes on by itself."""
    approval: Literal["none", "promotion", "each_step"] = "none"
    """Before which steps somebody is asked: by the approval hook, or by hand with `continuum promote`."""
    watch: WatchPolicy = WatchPolicy()
    breaker: BreakerPolicy = BreakerPolicy()

    @field_validator("backend_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and re.fullmatch(r"sagemaker://[a-z0-9-]{1,40}/[A-Za-z0-9-]{1,63}", value):
            return value
        return without_secret(value, "deployment.backend_url", "CONTINUUM_SERVING_API_KEY")

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

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.initial_traffic > self.ramp_schedule[-1]:
            raise ConfigurationError(
                f"initial_traffic is {self.initial_traffic:g} and ramp_schedule ends at {self.ramp_schedule[-1]:g}; "
                "the first share may be at most the last"
            )
        is_endpoint = (self.backend_url or "").startswith("sagemaker://")
        if self.backend_url is not None and is_endpoint != (self.backend == "sagemaker"):
            raise ConfigurationError(
                f"backend is {self.backend!r} and backend_url {self.backend_url!r}; SageMaker has an address like "
                "sagemaker://REGION/ENDPOINT, all others one like http://host:8000/v1"
            )
        return self
