"""The base of what a person writes and Continuum obeys: every field is known, and what makes no sense is refused by name."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from continuum.errors import ConfigurationError


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
