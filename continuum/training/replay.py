"""The replay buffer: a fair sample of everything a task's line has learned from, carried from version to version.

Every dataset that was learned from keeps an equal part of the buffer, as far as it has rows to fill it, and within a dataset
every kind of question keeps its share. A salted hash decides which rows those are, never the order in which they come.
"""

import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeVar

from continuum.errors import StoreError
from continuum.records import Example
from continuum.training.job import ReplayRow

REPLAY_FILE = "replay.jsonl"
KINDS = ("task", "general", "probe")

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class ReplayBuffer:
    """Rows of earlier turns, and how many there were of each dataset."""

    rows: tuple[ReplayRow, ...] = ()
    """Task rows by dataset and id, then the general and the probe rows, which do not count towards the size."""
    seen: dict[str, int] = field(default_factory=dict)
    """Fingerprint of a dataset to how many rows of it were learned from, oldest dataset first."""

    def of_kind(self, kind: Literal["task", "general", "probe"]) -> tuple[Example, ...]:
        """The examples of one kind."""
        return tuple(row.example for row in self.rows if row.kind == kind)

    def extended(self, examples: Iterable[Example], *, dataset: str, size: int, seed: int) -> "ReplayBuffer":
        """The buffer after a dataset was learned from: all datasets in it make room alike.

        An example of an interaction that is in the buffer replaces the old one, which is no longer what the dataset says.

        Args:
            examples: what was learned from; their order does not matter.
            dataset: the fingerprint of their dataset.
            size: the most task rows that the buffer holds.
            seed: of the choice.
        """
        new: dict[str, Example] = {}
        for example in examples:
            other = new.get(example.interaction_id)
            if other is None or _canonical(example) > _canonical(other):
                new[example.interaction_id] = example
        candidates: dict[str, list[Example]] = defaultdict(list)
        for row in self.rows:
            if row.kind == "task" and row.example.interaction_id not in new:
                candidates[row.dataset].append(row.example)
        candidates[dataset] += new.values()
        # The datasets that get the rows which cannot be shared out evenly are drawn too.
        drawn = sorted(candidates, key=lambda name: _rank(seed, name))
        shares = _even_shares({name: len(candidates[name]) for name in drawn}, size)
        kept = [
            ReplayRow(example=example, dataset=name)
            for name in sorted(candidates)
            for example in _stratified(candidates[name], shares[name], seed)
        ]
        fixed = [row for row in self.rows if row.kind != "task"]
        return ReplayBuffer((*kept, *fixed), self.seen | {dataset: len(new)})

    def with_fixed(self, kind: Literal["general", "probe"], examples: Iterable[Example]) -> "ReplayBuffer":
        """The buffer with these rows of a kind in place of those it had; they stand outside its size."""
        unique = {example.interaction_id: example for example in examples}
        fixed = [ReplayRow(example=unique[name], dataset="", kind=kind) for name in sorted(unique)]
        rows = [*(row for row in self.rows if row.kind != kind), *fixed]
        return replace(self, rows=tuple(sorted(rows, key=lambda row: KINDS.index(row.kind))))

    def without(self, ids: AbstractSet[str]) -> "ReplayBuffer":
        """The buffer without any trace of these interactions.

        An example that only stands for one of them as its near-duplicate stays: its words are those of another interaction, which
        is not among them. It forgets that there was a duplicate.
        """
        kept = (
            row.model_copy(update={"example": _forgetting(row.example, ids)})
            for row in self.rows
            if row.example.interaction_id not in ids
        )
        return replace(self, rows=tuple(kept))

    def save(self, folder: Path) -> None:
        """Write the rows, one a line, under a line that says how many were seen.

        In ASCII: captured text may hold half surrogate pairs, which UTF-8 cannot.
        """
        lines = [json.dumps({"seen": self.seen}), *(json.dumps(row.model_dump()) for row in self.rows)]
        (folder / REPLAY_FILE).write_text("\n".join(lines) + "\n", encoding="ascii")

    @classmethod
    def load(cls, folder: Path) -> "ReplayBuffer":
        """The buffer that `save` left; an empty one where there is none.

        Raises:
            StoreError: the file holds something else.
        """
        path = folder / REPLAY_FILE
        if not path.is_file():
            return cls()
        try:
            # Only a newline ends a line: text of the traffic may hold other characters that str.splitlines splits at.
            head, *lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
            seen = json.loads(head)["seen"]
            # Buffers were once examples alone, all of one kind, under a single number.
            counts = seen if isinstance(seen, dict) else {"": seen} if seen else {}
            return cls(tuple(_row(json.loads(line)) for line in lines), {name: int(count) for name, count in counts.items()})
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} is no replay buffer ({type(error).__name__}); restore the artifact") from error


def _row(fields: dict[str, Any]) -> ReplayRow:
    if "example" in fields:
        return ReplayRow.model_validate(fields)
    return ReplayRow(example=Example.model_validate(fields), dataset="")


def _forgetting(example: Example, ids: AbstractSet[str]) -> Example:
    if ids.isdisjoint(example.duplicates):
        return example
    return example.model_copy(update={"duplicates": tuple(name for name in example.duplicates if name not in ids)})


def _stratified(examples: Sequence[Example], size: int, seed: int) -> list[Example]:
    """A sample in which every kind of question has its share, and one row at least where there is room for that."""
    strata: dict[tuple[str, str], list[Example]] = defaultdict(list)
    for example in examples:
        strata[_stratum(example)].append(example)
    drawn = sorted(strata, key=lambda stratum: _rank(seed, *stratum))
    shares = _proportional_shares({stratum: len(strata[stratum]) for stratum in drawn}, size)
    kept: list[Example] = []
    for stratum in drawn:
        kept += sorted(strata[stratum], key=lambda example: _rank(seed, example.interaction_id))[: shares[stratum]]
    return sorted(kept, key=lambda example: example.interaction_id)


def _stratum(example: Example) -> tuple[str, str]:
    """What was asked: by the task's own name for it, else by the cluster that curation put it in."""
    return ("intent", example.intent) if example.intent is not None else ("cluster", str(example.cluster))


def _even_shares(available: Mapping[Name, int], size: int) -> dict[Name, int]:
    """Equal shares; what one cannot fill goes to the others, and what cannot be divided to the first of them."""
    shares = dict.fromkeys(available, 0)
    left = min(size, sum(available.values()))
    while left:
        roomy = [name for name in available if available[name] > shares[name]]
        each = left // len(roomy)
        for name in roomy if each else roomy[:left]:
            more = min(max(each, 1), available[name] - shares[name])
            shares[name] += more
            left -= more
    return shares


def _proportional_shares(available: Mapping[Name, int], size: int) -> dict[Name, int]:
    """Shares in proportion to what there is, one for each first; remainders go to the largest (Hamilton's method)."""
    total = sum(available.values())
    if size >= total:
        return dict(available)
    if size <= len(available):
        # Not one for each: the most frequent are kept.
        first = sorted(available, key=lambda name: -available[name])[:size]
        return {name: int(name in first) for name in available}
    spare = size - len(available)
    exact = {name: spare * (count - 1) / (total - len(available)) for name, count in available.items()}
    shares = {name: 1 + int(exact[name] + 1e-9) for name in available}
    for name in sorted(available, key=lambda name: int(exact[name] + 1e-9) - exact[name]):
        if sum(shares.values()) == size:
            break
        shares[name] += 1
    return shares


def _rank(seed: int, *words: str) -> bytes:
    return sha256(json.dumps([seed, *words]).encode()).digest()


def _canonical(example: Example) -> str:
    return json.dumps(example.model_dump(), sort_keys=True)
