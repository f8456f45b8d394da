"""The base of what a person writes and Continuum obeys: every field is known, and what makes no sense is refused by name."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from continuum.errors import ConfigurationError


class Refused(ConfigurationError):
    """A policy, or a part of one, that makes no sense: each field by its path from there, and why."""

    def __init__(self, of: str, error: ValidationError) -> None:
        self.reasons = tuple(_reasons(error))
        """The path is empty where the fields are refused together."""
        super().__init__(f"{of}: {self.words}")

    @property
    def words(self) -> str:
        """The reasons in one line, without the name of the policy's class."""
        return _joined(self.reasons)


class Policy(BaseModel):
    """Base of every part of a policy: frozen, strict about names.

    Raises:
        Refused: a field is unknown or its value makes no sense; the message names each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise Refused(type(self).__name__, error) from error


def without_secret(base_url: str | None, name: str = "base_url", key: str = "CONTINUUM_JUDGE_API_KEY") -> str | None:
    """An endpoint's address, which everybody who reads the store may see.

    Args:
        base_url: the address.
        name: what the field is called.
        key: the variable that its key comes from.

    Raises:
        ConfigurationError: it is no URL, or holds a user name or a password.
    """
    try:
        address = urlsplit(base_url or "")
    except ValueError as error:
        raise ConfigurationError(f"{name} is not a URL: {error}") from error
    if base_url and (address.scheme not in ("http", "https") or not address.hostname):
        raise ConfigurationError(f"{name} is no endpoint's address; write http:// or https://, the host and the path up to /v1")
    if "@" in address.netloc or address.query or address.fragment:
        raise ConfigurationError(
            f"{name} holds a user name, a password or a query, and a policy is stored for all to read; "
            f"keys come from the environment: {key}"
        )
    return base_url


def explained(error: ValidationError) -> str:
    """What pydantic found, in one line that names each field and, where the message does not say it, the value it holds."""
    return _joined(_reasons(error))


def _joined(reasons: Iterable[tuple[str, str]]) -> str:
    return "; ".join(f"{path}: {why}" if path else why for path, why in reasons)


def _reasons(error: ValidationError) -> Iterator[tuple[str, str]]:
    for item in error.errors():
        path, cause = ".".join(map(str, item["loc"])), item.get("ctx", {}).get("error")
        if isinstance(cause, Refused):
            yield from ((".".join(filter(None, (path, below))), why) for below, why in cause.reasons)
        else:
            yield path, f"{item['msg'].removeprefix('Value error, ')}{_found(item, cause)}"


def _found(item: Mapping[str, Any], cause: object) -> str:
    # Our own refusals say what they found, or keep it back on purpose; the value of a misnamed field may be a secret.
    if isinstance(cause, ConfigurationError) or item["type"] == "extra_forbidden" or isinstance(item["input"], Mapping):
        return ""
    return f" (found {item['input']!r:.80})"
