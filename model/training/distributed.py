"""One process of several that train together; `torchrun` starts them.

Libraries: torch.distributed (NCCL on CUDA, gloo on the CPU).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from contract.errors import ConfigurationError

_TIMEOUT = timedelta(minutes=30)  # a validation or a fingerprint may keep one process waiting


@dataclass(frozen=True)
class Processes:
    """This process among those of a run.

    Attributes:
        rank: Its number, 0..world - 1; 0 writes files.
        world: Number of processes.
        device: Where it computes.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes."""
        if self.world > 1:
            distributed.all_reduce(values)
            values /= self.world
        return values

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes, in order of rank."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        distributed.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            distributed.barrier()

    def parallel(self, network: nn.Module) -> nn.Module:
        """Return a network whose gradients are averaged over the processes."""
        if self.world == 1:
            return network
        ids = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(network, device_ids=ids)


@contextmanager
def join_processes(device: str) -> Iterator[Processes]:
    """Join the processes that `torchrun` started; without it, be the only one.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ConfigurationError: CUDA is asked for and unavailable, or there are more processes on
            this machine than it has CUDA devices.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    place = _device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if world == 1:
        yield Processes(0, 1, place)
        return
    backend = "nccl" if place.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=_TIMEOUT)
    # Not on an error: the others may wait in a sum, and leaving the group would wait for them. The
    # error ends this process, and torchrun the others.
    yield Processes(rank, world, place)
    distributed.destroy_process_group()


def _device(wanted: str, local_rank: int) -> torch.device:
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise ConfigurationError("device is 'cuda', but PyTorch finds no CUDA device here")
    if wanted == "cpu" or not available:
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        raise ConfigurationError(
            f"process {local_rank} of this machine finds {torch.cuda.device_count()} CUDA devices; "
            "start as many processes as there are devices (torchrun --nproc-per-node)"
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose statistics are those of the global batch, on any device.

    PyTorch's own `SyncBatchNorm` runs on accelerators only. Same parameters, same numbers as
    `nn.BatchNorm2d` over the whole batch.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        if not self.training:
            return super().forward(input)
        x = input if input.dtype == torch.float64 else input.float()
        exact = x.double()  # E[x^2] - E[x]^2 would lose the digits of a small variance
        count = x.numel() // x.shape[1]
        sums = torch.cat([exact.sum((0, 2, 3)), exact.square().sum((0, 2, 3))])
        total: Tensor = _SumOverProcesses.apply(sums)
        count *= distributed.get_world_size()
        mean, square = (total / count).chunk(2)
        variance = (square - mean.square()).clamp(min=0)
        self._remember(mean.detach(), variance.detach() * count / max(count - 1, 1))
        scale = torch.rsqrt(variance + self.eps).to(x.dtype) * self.weight
        shift = self.bias - mean.to(x.dtype) * scale
        return (x * scale[:, None, None] + shift[:, None, None]).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        self.num_batches_tracked += 1
        # No momentum means the plain average of all batches.
        share = self.momentum or 1 / int(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


class _SumOverProcesses(torch.autograd.Function):
    """Sum over the processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """Add up."""
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Add the gradients up."""
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total


def share_batch_norm(network: nn.Module, device: torch.device) -> nn.Module:
    """Return a network whose batch norms work over the global batch; names stay as they are."""
    if device.type == "cuda":
        convert = nn.SyncBatchNorm.convert_sync_batchnorm
        shared: nn.Module = convert(network)  # type: ignore[no-untyped-call]
        return shared
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.BatchNorm2d:
                own = SharedBatchNorm2d(child.num_features, child.eps, child.momentum or 0.1)
                own.load_state_dict(child.state_dict())
                setattr(module, name, own)
    return network
