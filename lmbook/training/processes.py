"""The processes of a run: one, or as many as `torchrun` starts, each with its share of every batch."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from lmbook.interface import check_int

Answer = TypeVar("Answer")
PATIENCE = timedelta(hours=12)  # the other processes wait while the first one tokenises the corpus


@dataclass(frozen=True)
class Processes:
    """This process: number `rank` of the `count` processes of its run, on `device`."""

    rank: int
    count: int
    device: torch.device

    @classmethod
    def from_environment(cls) -> "Processes":
        """Read what `torchrun` has set, if it runs; take a GPU if there is one.

        Raises:
            ValueError: the environment's RANK, LOCAL_RANK or WORLD_SIZE is no number that it can be.
        """
        count = _from_environment("WORLD_SIZE", 1, least=1)
        rank = _from_environment("RANK", 0, most=count - 1)
        local_rank = _from_environment("LOCAL_RANK", 0, most=count - 1)
        device = torch.device(f"cuda:{local_rank}" if torch.cuda.is_available() else "cpu")
        return cls(rank, count, device)

    @property
    def first(self) -> bool:
        """True in the process that writes and reports."""
        return self.rank == 0

    def connect(self) -> None:
        """Join the other processes of the run."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.count > 1:
            backend = "cpu:gloo,cuda:nccl" if self.device.type == "cuda" else "gloo"
            dist.init_process_group(backend, timeout=PATIENCE)

    def leave(self) -> None:
        """Undo `connect`."""
        if self.count > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def sum(self, values: Tensor) -> Tensor:
        """Sum `values` over all processes, in place."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def by_first(self, function: Callable[..., Answer], *arguments) -> Answer:
        """Call a function in the first process only; every process gets its result, or raises its error."""
        if self.count == 1:
            return function(*arguments)
        answer, error = None, None
        if self.first:
            try:
                answer = function(*arguments)
            except (ArithmeticError, ImportError, OSError, ValueError) as raised:
                error = raised
        told = [answer, error]
        dist.broadcast_object_list(told, 0, device=torch.device("cpu"))
        if told[1] is not None:
            raise told[1]
        return told[0]


def _from_environment(name: str, default: int, least: int = 0, most: int | None = None) -> int:
    """The whole number that the environment's variable `name` holds; `default` without it."""
    text = os.environ.get(name, str(default))
    try:
        number = int(text)
        check_int(name, number, least, most)
    except ValueError:
        upto = "" if most is None else f" to {most}"
        raise ValueError(
            f"the environment's {name} must be a whole number from {least}{upto}, "
            f"got {text!r}; torchrun sets it"
        ) from None
    return number
