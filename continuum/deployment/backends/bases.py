"""Whether a server's base model is the one that an adapter was trained on, as far as names tell."""

import re

SNAPSHOT = re.compile(r"models--[^/]+--(?P<model>[^/]+)/snapshots/[^/]+/?$")
"""How the hub's cache calls the folder of a model."""


def is_base(served: str, wanted: str) -> bool:
    """Whether two names, hub ids or folders, are of the same model: the last part is the same, in any case.

    A server in a container sees the model in another folder than Continuum, so that more cannot be asked.
    """
    return last_part(served) == last_part(wanted)


def last_part(name: str) -> str:
    """The model's own name, without its owner or folder, in lower case."""
    cached = SNAPSHOT.search(name)
    return (cached["model"] if cached else name.rstrip("/").rpartition("/")[2]).lower()
