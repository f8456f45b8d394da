"""The processes that train together, as `accelerate launch` started them; one alone where it did not."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import torch
from accelerate import PartialState

PATIENCE = timedelta(days=2)
"""How long processes wait for the first one, which measures and writes for all of them."""


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this is."""

    rank: int = 0
    world: int = 1

    @classmethod
    def join(cls) -> "Processes":
        """Meet the other processes, where there are any."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world > 1:
            PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
        return cls(int(os.environ.get("RANK", "0")), world)

    @property
    def first(self) -> bool:
        """Whether this is the process that measures and writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.world > 1:
            torch.distributed.barrier()

    def once(self, work: Callable[[], None]) -> None:
        """Work that the first process does while the others wait for what it leaves on the disk."""
        if self.first:
            work()
        self.wait()

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any of the processes; the same answer in all."""
        if self.world == 1:
            return flag
        device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
        flags = torch.tensor(int(flag), device=device)
        torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
        return bool(flags.item())
