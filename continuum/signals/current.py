"""Where the program is: the captured call it is inside of, the last one it made, and whose conversation it serves.

All of it is local to the context (PEP 567): tasks and threads that run side by side do not see each other's. What an awaited
coroutine captures is seen by the one that awaits it; what a task of its own captures (`gather`, `create_task`) is not.
"""

from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from continuum.errors import ConfigurationError
from continuum.policy import checked_task_name
from continuum.spool.cleaning import id_text

if TYPE_CHECKING:
    from continuum.signals.recording import Recording, Unsampled
    from continuum.signals.subject import Subject

active: "ContextVar[Recording | Unsampled | None]" = ContextVar("continuum_active", default=None)
"""The captured call that is running."""
last_id: ContextVar[str | None] = ContextVar("continuum_last_id", default=None)
"""Id of the captured call that ended last, or that began last where it has not ended yet."""


class Failure(NamedTuple):
    """A captured call that raised; the same call made again is a retry of it."""

    subject: "Subject"
    asked: int
    """Hash of what was asked."""
    first_id: str
    """Id of the first attempt."""
    attempt: int


last_failure: ContextVar[Failure | None] = ContextVar("continuum_last_failure", default=None)
"""The captured call that raised last."""


@dataclass(frozen=True)
class Given:
    """What the application said of the calls to come."""

    conversation_id: str | None = None
    user_id: str | None = None
    interaction_ids: list[str] = field(default_factory=list)
    """At most one id; the first call takes it out, since two interactions cannot share one."""
    task: str | None = None
    """Of calls that no decorator gives one."""

    def take_id(self) -> str | None:
        """The id the application gave; None where it gave none, or another call has it."""
        try:
            return self.interaction_ids.pop() if self.interaction_ids else None
        except IndexError:  # another thread was faster
            return None


given: ContextVar[Given] = ContextVar("continuum_given", default=Given())  # noqa: B039  the default's list is never filled


class CurrentInteraction:
    """The captured call that is running in this context, or else the last one that began in it."""

    @property
    def id(self) -> str:
        """Its id, for `feedback.record`.

        Raises:
            ConfigurationError: nothing was captured in this context.
        """
        found = self._id()
        if found is None:
            raise ConfigurationError(
                "nothing was captured in this context; read interaction.id inside the captured function, or after awaiting it "
                "(a call run by gather or create_task has a context of its own: return interaction.id from it), "
                "or name the call yourself with continuum.context(interaction_id=...)"
            )
        return found

    def _id(self) -> str | None:
        recording = active.get()
        return last_id.get() if recording is None else recording.id

    def __repr__(self) -> str:
        return f"<interaction {self._id() or 'none in this context'}>"


interaction = CurrentInteraction()
"""The captured call that is running in this context, or else the last one that began in it: `interaction.id` is for feedback."""


class Context:
    """Names the conversation and the user of all calls captured inside a `with`, and the id of the first one."""

    def __init__(self, conversation_id: Any, user_id: Any, interaction_id: Any, task: str | None) -> None:
        self._values = (conversation_id, user_id, interaction_id)
        self._task = task
        self._tokens: list[Token[Given]] = []

    def __enter__(self) -> Self:
        conversation_id, user_id, interaction_id = map(id_text, self._values)
        outer = given.get()
        inner = Given(
            conversation_id or outer.conversation_id,
            user_id or outer.user_id,
            outer.interaction_ids if interaction_id is None else [interaction_id],
            self._task or outer.task,
        )
        self._tokens.append(given.set(inner))
        return self

    def __exit__(self, *_: object) -> None:
        # Some frameworks leave a generator in another context than the one they entered it in; there is nothing to undo there.
        with suppress(ValueError):
            given.reset(self._tokens.pop())

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()


def context(*, conversation_id: Any = None, user_id: Any = None, interaction_id: Any = None, task: str | None = None) -> Context:
    """Say whose calls the ones inside the `with` (or `async with`) are.

    Args:
        conversation_id: text, or anything that `str` turns into an id. What is left out stays as it was outside.
        user_id: likewise; what is stored of it is a keyed hash.
        interaction_id: the id under which the first call inside is stored; later calls get ids of their own.
        task: the task of model calls that no `@capture` is around, see `instrument_openai`. A decorator's own task stands.

    Raises:
        ConfigurationError: the task's name cannot be one.
    """
    return Context(conversation_id, user_id, interaction_id, None if task is None else checked_task_name(task))
