"""`instrument_openai`: every call of the `openai` client is captured, without a decorator.

Inside a captured function a call of the client belongs to that function's interaction, as ever. Outside it becomes an interaction
of its own, for the task that the context names.
"""

import logging
from functools import lru_cache
from typing import Any

from continuum.errors import MissingExtra
from continuum.policy import checked_task_name
from continuum.signals import tallies
from continuum.signals.current import given, last_id
from continuum.signals.recording import Recording, Unsampled, begin
from continuum.signals.subject import Subject
from continuum.spool import headers

logger = logging.getLogger(__name__)

_on = False
_task: str | None = None


def instrument_openai(task: str | None = None) -> None:
    """Capture every call of the `openai` client in this process: chat completions and responses, whole and streamed.

    A call outside a captured function is an interaction of its own. Its task is the one of `with continuum.context(task=...)`,
    else that of the client it is made with (`continuum.client(task)`), else the one given here; a call that has none is not
    captured, and counted in `capture_stats().untasked`. Calling this again changes the task, nothing else.

    Args:
        task: the task of calls that no context names one for.

    Raises:
        ConfigurationError: the task's name cannot be one.
        MissingExtra: `openai` is not installed.
    """
    global _on, _task
    name = None if task is None else checked_task_name(task)
    try:
        import openai  # noqa: F401  what is wrapped must be there
    except ImportError as error:
        raise MissingExtra("instrument_openai captures the openai client, which is not installed: pip install openai") from error
    from continuum.signals import openai_hook

    openai_hook.install()
    _on, _task = True, name


def uninstrument_openai() -> None:
    """Undo `instrument_openai`. Calls inside captured functions are captured as before."""
    global _on, _task
    from continuum.signals import openai_hook

    _on, _task = False, None
    openai_hook.uninstall()


def alone(resource: Any) -> Recording | Unsampled | None:
    """The recording of a client's call that no captured function is around; None where it is not to be captured."""
    if not _on:
        return None
    task = given.get().task or task_of(resource._client) or _task
    if task is None:
        if tallies.untasked() == 1:
            logger.warning(
                "continuum: a call of the openai client is not captured because it belongs to no task; "
                "name one with continuum.context(task=...) or instrument_openai(task)"
            )
        return None
    recording = begin(subject_of(task))
    last_id.set(recording.id)
    return recording


@lru_cache(maxsize=1024)
def subject_of(task: str) -> Subject:
    """What is captured where no function is."""
    return Subject(task)


def task_of(client: Any) -> str | None:
    """The task that a client from `continuum.client` is for."""
    found = client.default_headers.get(headers.TASK)
    return found if isinstance(found, str) and found else None
