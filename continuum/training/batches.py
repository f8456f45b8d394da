"""Which rows stand in which batch: every batch has its share of new, replayed and probe rows.

The shares are laid out beforehand and read in order, so that no batch is without what holds the model, whatever the shuffle.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from continuum.policy import FineTuneConfig

T = TypeVar("T")


@dataclass(frozen=True)
class Schedule(Generic[T]):
    """Rows in the order they are trained on."""

    rows: list[T]
    """`steps` batches of `width` rows, one after another."""
    width: int
    steps: int
    new_per_batch: int


def lay_out(new: Sequence[T], replay: Sequence[T], probes: Sequence[T], config: FineTuneConfig) -> Schedule[T]:
    """Batches that go `config.epochs` times through the new rows, at least.

    Replayed rows and probes come round in shuffled turns, as often as their shares ask.
    """
    replayed = _rows_of(config.replay_share, config.batch_size, len(replay))
    probed = _rows_of(config.probe_share, config.batch_size, len(probes))
    fresh = max(1, config.batch_size - replayed - probed)
    steps = max(1, math.ceil(config.epochs * len(new) / fresh - 1e-9))
    rng = random.Random(config.seed)
    new_turn, replay_turn, probe_turn = (_endless(pool, rng) for pool in (new, replay, probes))
    rows: list[T] = []
    for _ in range(steps):
        rows += [next(new_turn) for _ in range(fresh)]
        rows += [next(replay_turn) for _ in range(replayed)]
        rows += [next(probe_turn) for _ in range(probed)]
    return Schedule(rows, fresh + replayed + probed, steps, fresh)


def _rows_of(share: float, batch_size: int, available: int) -> int:
    return max(1, round(share * batch_size)) if share > 0 and available else 0


def _endless(pool: Sequence[T], rng: random.Random) -> Iterator[T]:
    """The pool in a new order each time round."""
    while pool:
        order = list(pool)
        rng.shuffle(order)
        yield from order
