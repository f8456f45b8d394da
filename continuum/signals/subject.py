"""What is captured: a function, for a task. All that can be known when it is decorated is worked out then."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from inspect import Parameter, signature
from typing import Any, get_args

from continuum.config import Durability, RedactWhen
from continuum.errors import ConfigurationError
from continuum.policy import checked_task_name
from continuum.spool.cleaning import clean_text, names_secret

TAG_LENGTH = 200
POSITIONAL = {Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.VAR_POSITIONAL}

is_secret = lru_cache(maxsize=4096)(names_secret)


class Subject:
    """A function, the task its calls belong to, and how they are kept.

    Args:
        task: the task.
        function: None for a call that no function of the application stands for.
        model: the model that answers, where the answer does not say.
        sample_rate: share of conversations to capture; None for what the task's policy says.
        durability: where captures wait for the store; None for the process's setting.
        redact: when personal data is taken out; None for the process's setting.

    Raises:
        ConfigurationError: one of them is not what it can be.
    """

    __slots__ = ("durability", "model", "names", "one_argument", "redact", "sample_rate", "skipped", "takes_messages", "task")

    def __init__(
        self,
        task: str,
        function: Callable[..., Any] | None = None,
        *,
        model: str | None = None,
        sample_rate: float | None = None,
        durability: Durability | None = None,
        redact: RedactWhen | None = None,
    ) -> None:
        self.task = checked_task_name(task)
        self.model = model
        self.sample_rate = checked_rate(sample_rate)
        self.durability = one_of("durability", durability, get_args(Durability))
        self.redact = one_of("redact", redact, get_args(RedactWhen))
        self.names = positional_names(function)
        self.skipped = 1 if self.names and self.names[0] in {"self", "cls"} else 0
        first = self.names[self.skipped] if len(self.names) > self.skipped else "argument"
        self.one_argument = -1 if is_secret(first) else self.skipped + 1
        """With so many arguments, and none by keyword, the last one is all that was asked; -1 for never."""
        self.takes_messages = first == "messages"
        """Whether that one may be a conversation; any may be the user's text."""

    def arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """The arguments of a call by name, without the instance or class of a method, and without what is named like a secret."""
        for index in range(self.skipped, len(args)):
            name = self.names[index] if index < len(self.names) else f"argument {index + 1}"
            if args[index] is not None and not is_secret(name):
                yield name, args[index]
        for name, value in kwargs.items():
            if value is not None and not is_secret(name):
                yield clean_text(name, TAG_LENGTH), value


def positional_names(function: Callable[..., Any] | None) -> tuple[str, ...]:
    """The names of the parameters that arguments without a name go to."""
    if function is None:
        return ()
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(clean_text(parameter.name, TAG_LENGTH) for parameter in parameters if parameter.kind in POSITIONAL)


def checked_rate(rate: Any) -> float | None:
    """A share, or None.

    Raises:
        ConfigurationError: it is neither.
    """
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1):
        raise ConfigurationError(f"sample_rate is {rate!r}; it must be a number from 0 to 1, or None for the task's own")
    return rate


def one_of(name: str, value: Any, known: tuple[str, ...]) -> Any:
    """One of a few words, or None.

    Raises:
        ConfigurationError: it is neither.
    """
    if value is not None and value not in known:
        raise ConfigurationError(f"{name} is {value!r}; it must be one of {', '.join(known)}, or None for the process's own")
    return value
