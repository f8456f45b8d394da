"""Which rows stand in which batch: every batch has its share of new, replayed, probe and general rows.

The shares are laid out beforehand and read in order, so that no batch is without what holds the model, whatever the shuffle.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from continuum.fine_tuning import FineTuneConfig

T = TypeVar("T")


@dataclass(frozen=True)
class Schedule(Generic[T]):
    """Rows in the order they are trained on."""

    rows: list[T]
    """`steps` batches of `width` rows, one after another."""
    width: int
    steps: int
    new_per_batch: int


def lay_out(
    new: Sequence[T], replay: Sequence[T], probes: Sequence[T], general: Sequence[T], config: FineTuneConfig
) -> Schedule[T]:
    """Batches that go `config.epochs` times through the new rows, at least.

    Replayed, probe and general rows come round in shuffled turns, as often as their shares ask. A batch is only wider than
    `config.batch_size` where that is too small for one row of each.
    """
    pools = ((replay, config.replay_share), (probes, config.probe_share), (general, config.general_share))
    held = [_rows_of(share, config.batch_size, len(pool)) for pool, share in pools]
    fresh = max(1, config.batch_size - sum(held))
    # Processes and accumulation share a batch out evenly.
    fresh += -(fresh + sum(held)) % (config.processes * config.gradient_accumulation)
    steps = max(1, math.ceil(config.epochs * len(new) / fresh - 1e-9))
    rng = random.Random(config.seed)
    counts = (fresh, *held)
    turns = [_endless(pool, rng) for pool in (new, *(pool for pool, _ in pools))]
    rows = [next(turn) for _ in range(steps) for turn, count in zip(turns, counts, strict=True) for _ in range(count)]
    return Schedule(rows, sum(counts), steps, fresh)


def _rows_of(share: float, batch_size: int, available: int) -> int:
    return max(1, round(share * batch_size)) if share > 0 and available else 0


def _endless(pool: Sequence[T], rng: random.Random) -> Iterator[T]:
    """The pool in a new order each time round."""
    while pool:
        order = list(pool)
        rng.shuffle(order)
        yield from order
