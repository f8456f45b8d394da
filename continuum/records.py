"""What travels round the wheel. Read this file first; the rest is how one record becomes the next.

    Interaction -> Annotation -> Dataset(Example*) -> Checkpoint -> Verdict -> Deployment -> (serves the next Interaction)

Records are frozen. Times are UTC and aware, scores run from 1 to 5, ratios from 0 to 1, units are in the names.
"""

import json
from enum import StrEnum
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from continuum.ids import new_id
from continuum.timespan import utc_now


class Record(BaseModel):
    """Base of every record: frozen, strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


# --- what was said -----------------------------------------------------------------------------------------------


class FunctionCall(BaseModel, frozen=True):
    """The function of a tool call, in OpenAI form."""

    name: str
    arguments: str = "{}"
    """JSON text, as the model wrote it; it may not parse."""


class ToolCall(BaseModel, frozen=True):
    """One call of a tool, in OpenAI form."""

    id: str = ""
    type: str = "function"
    function: FunctionCall


class Message(BaseModel):
    """One message of a conversation, in OpenAI form; fields this class does not know are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    role: str
    content: str | list[dict[str, Any]] | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The words of the message; the text parts joined when the content comes in parts."""
        if isinstance(self.content, list):
            return "\n".join(str(part["text"]) for part in self.content if isinstance(part.get("text"), str))
        return self.content or ""

    @property
    def action(self) -> str:
        """What the message does, in one canonical line: its tool calls with sorted arguments, or else its words.

        Two messages with equal actions are the same answer, whatever the ids of their calls or the order of keys.
        """
        if not self.tool_calls:
            return " ".join(self.text.split())
        return "\n".join(f"{call.function.name}({canonical_arguments(call.function.arguments)})" for call in self.tool_calls)

    def to_openai(self) -> dict[str, Any]:
        """The message as an OpenAI-compatible server takes it."""
        fields = self.model_dump(mode="json", exclude_none=True)
        return {"role": self.role, "content": None, **fields} if self.tool_calls else fields


def canonical_arguments(arguments: str) -> str:
    """JSON arguments with sorted keys and no spare space; text that is not JSON is returned stripped."""
    try:
        return json.dumps(json.loads(arguments), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except ValueError:
        return arguments.strip()


class Interaction(Record):
    """One call of a model in production; written by signals and by the gateway, read by annotation and curation."""

    id: str = Field(default_factory=new_id)
    task: str
    started_at: AwareDatetime = Field(default_factory=utc_now)
    messages: tuple[Message, ...] = ()
    """What the model was given, oldest first."""
    response: Message | None = None
    """What it answered; None when the call failed before an answer."""
    status: Literal["ok", "error", "cancelled"] = "ok"
    error: str | None = None
    model: str | None = None
    conversation_id: str | None = None
    user_id: str | None = None
    """A keyed hash of the application's own id, see `spool/users.py`."""
    parent_id: str | None = None
    """The interaction inside which this one happened."""
    provider_response_id: str | None = None
    latency_ms: float | None = None
    time_to_first_chunk_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    """Of the input tokens, those that the provider had in its cache."""
    reasoning_tokens: int | None = None
    """Of the output tokens, those that the model thought with and did not say."""
    cost_usd: float | None = None
    deployment_id: str | None = None
    variant: str | None = None
    """Which arm of the deployment answered: stable or canary."""
    source: str = "capture"
    """The door it came in by: capture, gateway, import."""
    tags: dict[str, str] = {}
    redaction: str | None = None
    """Version of the redactor that took personal data out, like `builtin-1`; None where none did."""
    fingerprint: str | None = None
    """64-bit SimHash of the words, as 16 hexadecimal digits."""
    near_repeat_of: str | None = None
    """An earlier interaction of the task with almost the same words; a flag, nothing is deleted for it."""

    @property
    def conversation(self) -> tuple[Message, ...]:
        """The messages with the answer at their end."""
        return self.messages if self.response is None else (*self.messages, self.response)


class Feedback(Record):
    """What a person, or the log of what a person did, says of an interaction; it may arrive before it."""

    id: str = Field(default_factory=new_id)
    interaction_id: str
    kind: Literal["explicit", "implicit"] = "explicit"
    score: float | None = Field(default=None, ge=1, le=5)
    label: str | None = None
    comment: str | None = None
    correction: str | None = None
    """The answer that should have been given."""
    confidence: float = Field(default=1.0, ge=0, le=1)
    trusted: bool = False
    """Given by someone the team trusts, like a reviewer: it shows how far the other raters can be trusted."""
    user_id: str | None = None
    recorded_at: AwareDatetime = Field(default_factory=utc_now)
    idempotency_key: str | None = None


# --- what was thought of it --------------------------------------------------------------------------------------


class Annotation(Record):
    """A judge's opinion of one interaction; written by annotation, read by curation."""

    id: str = Field(default_factory=new_id)
    interaction_id: str
    task: str
    judge: str
    """The judge's name; with the rubric it says whose opinion this is."""
    rubric: str
    """Fingerprint of the criteria that were asked for."""
    role: Literal["selecting", "second", "trial"] = "selecting"
    """Whether the score may select, only watches the judge whose scores do, or only shows what another rubric would say."""
    status: Literal["ok", "unparseable", "suspected_injection", "not_applicable"] = "ok"
    scores: dict[str, float] = {}
    """Criterion name to a score from 1 to 5; a criterion that did not apply is not there."""
    reasons: dict[str, str] = {}
    overall: float | None = None
    """The weighted mean of the scores; None unless the status is ok."""
    served_by: str | None = None
    """The model that answered, by its own account, with the provider's fingerprint of it."""
    cost_usd: float = 0.0
    created_at: AwareDatetime = Field(default_factory=utc_now)


class Admission(Record):
    """Whether a judge withstood the attack texts, for one version of it and one rubric; written and read by judging."""

    id: str = Field(default_factory=new_id)
    judge: str
    version: str
    """The judge's; another model, endpoint or prompt is another version."""
    rubric: str
    admitted: bool
    evidence: dict[str, Any]
    """What was measured; see `judging/admission.py`."""
    created_at: AwareDatetime = Field(default_factory=utc_now)


class Review(Record):
    """An interaction that people are asked about; written by annotation, answered in `continuum label`."""

    id: str = Field(default_factory=new_id)
    task: str
    interaction_id: str
    queue: Literal["audit", "useful", "anchor", "golden", "referred"]
    """`audit`: drawn at random, and nothing else may stand for it. `useful`: chosen because its label teaches most.
    `anchor`: drawn at random, and never selected from or trained on. `golden`: drawn by slices for the golden dataset, which it
    joins once a person has said something of it. `referred`: curation would not decide on the first judge's
    word alone; a second judge scores it, and people are asked before others about it."""
    probability: float | None = Field(default=None, gt=0, le=1)
    """With which it was drawn; None where it was chosen."""
    reason: str = ""
    """Why it was chosen, in words."""
    created_at: AwareDatetime = Field(default_factory=utc_now)


class Label(Record):
    """One person's answer to a review. The verdict itself is the feedback; who passed gave none."""

    review_id: str
    labeller: str
    feedback_id: str | None = None
    informed: bool = False
    """The person had seen what the judge says of it, because an earlier answer was taken back: no evidence about the judge."""
    withdrawn: bool = False
    """Taken back, and not yet given anew."""
    created_at: AwareDatetime = Field(default_factory=utc_now)


# --- what is learned from ----------------------------------------------------------------------------------------


class Example(Record):
    """One row of a dataset: a conversation that ends in the answer to learn."""

    interaction_id: str
    messages: tuple[Message, ...]
    response: Message
    score: float
    """1 to 5: the human verdict where there is one, else the judge's."""
    score_source: Literal["human", "judge", "correction"]
    split: Literal["train", "validation", "golden"] = "train"
    group: str
    """Examples of one group never stand on two sides of a split."""
    intent: str | None = None
    """The task's own name for what was asked, where it has one."""
    cluster: int = -1
    generation: int = Field(default=0, ge=0)
    """Who wrote the answer. 0: a person, or a model outside this task's line; k: version k of it."""
    duplicates: tuple[str, ...] = ()
    """Ids of the interactions that this example replaces."""
    reason: str
    """Why it is in the dataset."""

    @property
    def prompt(self) -> str:
        """The words of the last message before the answer that has words."""
        return next((message.text for message in reversed(self.messages) if message.text), "")


class DatasetRecord(Record):
    """The store's row of a dataset version; its rows are Parquet at `uri` and dataset_items in the store."""

    id: str
    """The fingerprint: a hash of the canonical rows and of the configuration."""
    task: str
    kind: Literal["training", "golden", "control"] = "training"
    """`control`: as many rows as a training version has, drawn at random; it has the number of the version it stands beside."""
    name: str
    """`<task>_<kind>_v<version>`: what people call it."""
    version: int
    uri: str
    manifest: dict[str, Any]
    created_at: AwareDatetime = Field(default_factory=utc_now)


class Checkpoint(Record):
    """A trained adapter and where it came from."""

    id: str = Field(default_factory=new_id)
    task: str
    version: int
    """1 for a task's first adapter; the model is called `<task>-v<version>`."""
    base_model: str
    """A local path or a hub id."""
    uri: str
    """The folder of the adapter: safetensors, tokenizer, manifest.json."""
    dataset_id: str
    parent_id: str | None = None
    generation: int = 1
    """How many trainings on this task's own line lie behind it."""
    manifest: dict[str, Any] = {}
    """File name to sha256."""
    metrics: dict[str, float] = {}
    config: dict[str, Any] = {}
    mlflow_run_id: str | None = None
    mlflow_version: str | None = None
    created_at: AwareDatetime = Field(default_factory=utc_now)

    @property
    def name(self) -> str:
        """The model's name where it is served."""
        return f"{self.task}-v{self.version}"


# --- whether it may serve ----------------------------------------------------------------------------------------


class VerdictStatus(StrEnum):
    """The statistical word on a candidate."""

    APPROVED = "approved"
    BLOCKED = "blocked"
    INCONCLUSIVE = "inconclusive"


class Interval(Record):
    """A two-sided confidence interval."""

    low: float
    high: float
    level: float = 0.95


class Verdict(Record):
    """What the guard says of a candidate, with the evidence; written by guard, read by deployment."""

    id: str = Field(default_factory=new_id)
    task: str
    checkpoint_id: str
    baseline: str
    """What it was compared with: a checkpoint id, or `production`."""
    golden_id: str
    status: VerdictStatus
    approved: bool
    """May it be deployed at all; an inconclusive candidate may, up to `max_traffic`."""
    deltas: dict[str, float] = {}
    """Metric to candidate minus baseline, paired, on a 0-1 scale."""
    intervals: dict[str, Interval] = {}
    p_values: dict[str, float] = {}
    """Metric to the p-value of the one-sided test that it regressed past its `min_delta`."""
    failed_checks: tuple[str, ...] = ()
    required_examples: int | None = None
    """Golden examples that would decide an inconclusive verdict; None when it is decided."""
    max_traffic: float = 1.0
    """The largest share of traffic the candidate may serve on this evidence alone."""
    evidence: dict[str, Any] = {}
    created_at: AwareDatetime = Field(default_factory=utc_now)
