"""One golden item, and what a version of a golden dataset is called by: the hash over all that its items say."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ValidationInfo, model_validator

from continuum.errors import ConfigurationError
from continuum.records import Message, Record
from continuum.similarity.fingerprints import context_fingerprint
from continuum.splits.checkers import Checker
from continuum.spool.cleaning import is_storable

Kind = Literal["task", "capability", "alignment"]
Part = Literal["dev", "test"]

WRITTEN = "written"
"""Validation context of what is read back from files."""
OWN = "own-"
"""Begins the id of an item that somebody brought; the rest is the hash of its question."""


class GoldenItem(Record):
    """One held-out question.

    Raises:
        ValidationError: a field makes no sense, or holds NUL or half a surrogate pair.
    """

    interaction_id: str
    """Of the interaction that asked it; of an item that somebody brought, `own-` and the hash of its question."""
    messages: tuple[Message, ...]
    reference: Message | None = None
    """A correction, or an answer that a person called good; None where only a judge can tell."""
    production: Message | None = None
    """What the model in production answered, the baseline until there is a champion; None where a version of the task did."""
    group: str
    """Items of one group are not independent."""
    lot: str | None = None
    """What the group was called when the item joined: it decides between dev and test, whatever groups grow together later."""
    slice: str | None = None
    """The part of the task it stands for: its intent, where the application names one."""
    kind: Kind = "task"
    """`task`: what users ask. `capability`: what the model could do before. `alignment`: tries a constraint."""
    checker: Checker | None = None
    """Tells by itself whether an answer is right."""
    asked_at: AwareDatetime | None = None
    """When the question was asked, or brought."""
    confirmed: bool = False
    """Whether a person has said something of the answer, or brought the item."""

    @model_validator(mode="after")
    def _is_storable(self, info: ValidationInfo) -> Self:
        # What was written before this was looked at is read as it stands: else its hash could not be compared.
        if (info.context or {}).get(WRITTEN):
            return self
        for name in self.__class__.model_fields:
            if not all(map(is_storable, texts_of(getattr(self, name)))):
                raise ConfigurationError(
                    f"there is NUL or half a surrogate pair in its {name}, which Postgres and UTF-8 refuse; leave it out, or put "
                    "U+FFFD in its place, as capture does"
                )
        return self

    @property
    def own(self) -> bool:
        """Whether somebody brought it, so that no interaction stands behind it."""
        return self.interaction_id.startswith(OWN)

    @property
    def prompt(self) -> str:
        """The words of the last message that has words."""
        return next((message.text for message in reversed(self.messages) if message.text), "")


def own_id(messages: Sequence[Message]) -> str:
    """The id of an item that somebody brought: the same question, the same id, wherever it is read."""
    return OWN + context_fingerprint(messages)


def fingerprint_of(task: str, items: Iterable[GoldenItem], part: Part | None = None, *, format: int = 2) -> str:
    """A sha256 over the task, the items as they stand, and which part of a set they are.

    Args:
        task: whose.
        items: in the order of their ids.
        part: dev or test; None for a whole set.
        format: 1 for versions from before items had a slice, a kind and a checker.
    """
    head = f"golden\n{task}\n" + ("" if part is None else f"{part}\n")
    digest = sha256(head.encode())
    for item in items:
        fields = _first_format(item) if format == 1 else _canonical(item)
        digest.update(json.dumps(fields, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def described(items: Sequence[GoldenItem]) -> dict[str, Any]:
    """What a manifest says of a version's items."""
    return {
        "items": len(items),
        "with_reference": sum(item.reference is not None for item in items),
        "with_checker": sum(item.checker is not None for item in items),
        "confirmed": sum(item.confirmed for item in items),
        "own": sum(item.own for item in items),
        "groups": len({item.group for item in items}),
        "slices": dict(sorted(Counter(item.slice for item in items if item.slice is not None).items())),
        "kinds": dict(sorted(Counter(item.kind for item in items).items())),
        "item_hashes": [item_hash(item) for item in items],
    }


def item_hash(item: GoldenItem) -> str:
    """A sha256 over all that one item says: what is kept of it when the item is erased, so that the others can still be told."""
    return sha256(b"golden item\n" + json.dumps(_canonical(item), sort_keys=True).encode()).hexdigest()


def what_is_left(task: str, items: Sequence[GoldenItem], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a set of its own, of the items that an erasure left of a version; it says of which."""
    own = {"fingerprint": fingerprint_of(task, items, manifest.get("part")), "format": 2}
    return {**manifest, **described(items), **own, "left_of": manifest.get("left_of") or manifest.get("fingerprint")}


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a value, however deep, names of fields too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, BaseModel):
        yield from texts_of(value.model_dump())
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from texts_of(name)
            yield from texts_of(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from texts_of(one)


def _canonical(item: GoldenItem) -> dict[str, Any]:
    fields = item.model_dump(mode="json", exclude_none=True, exclude={"checker"})
    return fields if item.checker is None else fields | {"checker": item.checker.as_json()}


def _first_format(item: GoldenItem) -> dict[str, Any]:
    known = {"interaction_id", "messages", "reference", "production", "group"}
    fields = item.model_dump(mode="json", exclude_none=True, include=known)
    return fields if item.slice is None else fields | {"intent": item.slice}
