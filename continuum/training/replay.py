"""The replay buffer: a fair sample of everything a task's line has learned from, carried from version to version."""

import json
import random
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from continuum.records import Example

REPLAY_FILE = "replay.jsonl"


@dataclass(frozen=True)
class ReplayBuffer:
    """Examples of earlier turns, each kept with equal chance, and how many were seen in all."""

    examples: tuple[Example, ...] = ()
    seen: int = 0

    def extended(self, new: Iterable[Example], *, size: int, seed: int) -> "ReplayBuffer":
        """The buffer after the new examples have passed by (reservoir sampling, Vitter 1985, algorithm R).

        An example of an interaction that is in the buffer replaces the old one, which is no longer what the dataset says.
        """
        new = list(new)
        newer = {example.interaction_id for example in new}
        kept = [example for example in self.examples if example.interaction_id not in newer][:size]
        rng = random.Random(f"{seed}/{self.seen}")
        seen = self.seen
        for example in new:
            seen += 1
            if len(kept) < size:
                kept.append(example)
            elif (place := rng.randrange(seen)) < size:
                kept[place] = example
        return ReplayBuffer(tuple(kept), seen)

    def without(self, interaction_ids: AbstractSet[str]) -> "ReplayBuffer":
        """The buffer without the examples of these interactions."""
        kept = tuple(example for example in self.examples if example.interaction_id not in interaction_ids)
        return ReplayBuffer(kept, self.seen)

    def save(self, folder: Path) -> None:
        """Write the examples, one a line, under a line that says how many were seen."""
        lines = [json.dumps({"seen": self.seen}), *(example.model_dump_json() for example in self.examples)]
        (folder / REPLAY_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "ReplayBuffer":
        """The buffer that `save` left; an empty one where there is none."""
        path = folder / REPLAY_FILE
        if not path.is_file():
            return cls()
        # Only a newline ends a line: text of the traffic may hold other characters that str.splitlines splits at.
        head, *lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
        return cls(tuple(Example.model_validate_json(line) for line in lines), json.loads(head)["seen"])
