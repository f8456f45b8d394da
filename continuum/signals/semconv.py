"""OpenTelemetry's names for calls of generative models: the one table that the exporter writes by and the importer reads by.

The conventions are still in development, so they are pinned: these are the names of `VERSION`. Older names are accepted on
import and never written.
"""

VERSION = "0.66b"
"""Of the package opentelemetry-semantic-conventions."""
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

# --- what is written ---

OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
"""In seconds."""
CONVERSATION_ID = "gen_ai.conversation.id"
SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
"""JSON: a list of parts, as below."""
INPUT_MESSAGES = "gen_ai.input.messages"
"""JSON: a list of `{"role", "parts": [{"type": "text", "content"}, {"type": "tool_call", "id", "name", "arguments"}, ...]}`."""
OUTPUT_MESSAGES = "gen_ai.output.messages"
"""The same, with a `finish_reason` on each message."""
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"

DETAILS_EVENT = "gen_ai.client.inference.operation.details"
"""The event that may hold the messages instead of the span."""
EVALUATION_EVENT = "gen_ai.evaluation.result"
EVALUATION_NAME = "gen_ai.evaluation.name"
EVALUATION_SCORE = "gen_ai.evaluation.score.value"
EVALUATION_LABEL = "gen_ai.evaluation.score.label"
EVALUATION_EXPLANATION = "gen_ai.evaluation.explanation"

ERROR_TYPE = "error.type"
USER_ID = "user.id"
SESSION_ID = "session.id"

# --- what is ours: no convention has a name for it ---

INTERACTION_ID = "continuum.interaction.id"
TASK = "continuum.task"
PARENT_ID = "continuum.parent.id"
COST_USD = "continuum.cost_usd"
DEPLOYMENT_ID = "continuum.deployment.id"
VARIANT = "continuum.variant"
STATUS = "continuum.status"
TAG_PREFIX = "continuum.tag."
"""Before the name of a tag."""
USER_HASH = "continuum.user.hash"
"""What stands for the user; `user.id` is the application's own id."""
LATENCY_MS = "continuum.latency_ms"
FEEDBACK_PREFIX = "continuum.feedback."
"""Before the fields of feedback, on an evaluation event that is one of ours."""
FEEDBACK_ID = "continuum.feedback.id"
FEEDBACK_FIELDS = ("id", "kind", "correction", "confidence", "trusted", "user_hash", "recorded_at", "idempotency_key")
"""Those that no convention has a name for; score, label and comment are an evaluation's own."""

CHAT = "chat"
"""The operation of an interaction."""

# --- what is read as well: name as others write it, to the name above ---

OLDER = {
    "gen_ai.system": PROVIDER_NAME,
    "gen_ai.prompt": INPUT_MESSAGES,
    "gen_ai.completion": OUTPUT_MESSAGES,
    "gen_ai.usage.prompt_tokens": INPUT_TOKENS,
    "gen_ai.usage.completion_tokens": OUTPUT_TOKENS,
    "llm.model_name": RESPONSE_MODEL,
    "llm.request.model_name": REQUEST_MODEL,
    "llm.response.model_name": RESPONSE_MODEL,
    "llm.provider": PROVIDER_NAME,
    "llm.token_count.prompt": INPUT_TOKENS,
    "llm.token_count.completion": OUTPUT_TOKENS,
    "llm.token_count.prompt_details.cache_read": CACHED_TOKENS,
    "llm.token_count.completion_details.reasoning": REASONING_TOKENS,
    "llm.cost.total": COST_USD,
}
"""Names of earlier conventions, and of OpenInference."""
