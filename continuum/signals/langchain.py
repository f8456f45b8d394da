"""`langchain_callback`: the calls of whatever chat model a LangChain application uses are captured, by a callback."""

from typing import TYPE_CHECKING

from continuum.errors import MissingExtra
from continuum.policy import checked_task_name

if TYPE_CHECKING:
    from continuum.signals.langchain_engine import LangChainCapture


def langchain_callback(task: str, *, model: str | None = None, sample_rate: float | None = None) -> "LangChainCapture":
    """A callback that makes an interaction of each model call of a chain, with its tokens, latency and failures.

    It is given to `invoke`, `stream` or their async forms: `chain.invoke(..., config={"callbacks": [callback]})`. After a call
    `callback.interaction_id` is what feedback names. One callback may serve calls that run side by side; where feedback is to
    find its call, give each request a callback of its own. Where the model is OpenAI's, use this or `instrument_openai`: with
    both a call would be captured twice.

    Args:
        task: the task that the calls belong to.
        model: the model that answers, where LangChain does not say.
        sample_rate: share of conversations to capture, 0 to 1; the task's own when left out.

    Raises:
        ConfigurationError: the task's name or the rate cannot be one.
        MissingExtra: `langchain-core` is not installed.
    """
    checked_task_name(task)
    try:
        from continuum.signals.langchain_engine import LangChainCapture  # langchain_core starts here
    except ImportError as error:
        raise MissingExtra.of(error, "langchain_callback") from error
    return LangChainCapture(task, model=model, sample_rate=sample_rate)
