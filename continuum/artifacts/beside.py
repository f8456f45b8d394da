"""Small files that come later than an artifact and lie beside it, such as the proofs of verdicts on it; each is whole."""

import re

from continuum.artifacts.places import require_known
from continuum.artifacts.storage import open_storage
from continuum.errors import StoreError

BESIDE = "beside"
NAME = re.compile(r"(?!\.)[0-9A-Za-z_.-]{1,200}")


def write_beside(uri: str, name: str, data: bytes) -> None:
    """Write a file beside an artifact at a URL, in the place of an earlier one of its name.

    Raises:
        StoreError: the storage does not take it.
    """
    plain = require_known(uri)
    open_storage(plain).put(_url(plain, name), data)


def read_beside(uri: str, name: str) -> bytes | None:
    """A file beside an artifact at a URL; None where there is none.

    Raises:
        StoreError: it cannot be looked for.
    """
    plain = require_known(uri)
    found = open_storage(plain).read(_url(plain, name))
    return None if found is None else found.data


def _url(uri: str, name: str) -> str:
    if not NAME.fullmatch(name):
        raise StoreError(f"{name!r:.100} cannot be the name of a file beside {uri}; it must be letters, digits, '.', '_' or '-'")
    return f"{uri}/{BESIDE}/{name}"
