"""An OpenAI client whose calls pass the gateway: captured there, and answered by whichever model serves the task."""

from typing import TYPE_CHECKING, Any

from continuum.config import load_settings
from continuum.policy import checked_task_name
from continuum.spool import headers

if TYPE_CHECKING:
    from openai import AsyncOpenAI


def client(task: str, **options: Any) -> "AsyncOpenAI":
    """An asynchronous client for one task.

    Args:
        task: the task whose traffic its calls are.
        options: passed on to `openai.AsyncOpenAI`; what is given here wins. Without an `api_key` it sends none of the
            environment's: the gateway has the provider's key.

    Raises:
        ConfigurationError: the task's name cannot be one.
    """
    from openai import AsyncOpenAI

    named = {headers.TASK: checked_task_name(task)}
    defaults = {"base_url": load_settings().gateway_url, "api_key": "continuum"}
    return AsyncOpenAI(**{**defaults, **options, "default_headers": named | dict(options.get("default_headers") or {})})
