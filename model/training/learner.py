"""One step of learning: network, loss, gradient, optimiser, in the chosen precision.

Letters: B crops, S pixels of a side, K classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from model.net.erfnet import BranchedERFNet, ChannelDropout
from model.net.loss import LossTerms, SpatialEmbeddingLoss
from model.recipes.recipe import Loss, Recipe
from model.training.distributed import Processes, share_batch_norm

Arithmetic = Literal["float64", "float32", "bfloat16", "float16"]

_DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True)
class StepReport:
    """What a step tells, averaged over the processes.

    Attributes:
        loss: The weighted sum of the terms.
        instance: The instance term.
        variance: The variance term.
        seed: The seed term.
        gradient_norm: Norm of the gradient before it was clipped.
        finite: Whether the loss was a number in every process; if not, nothing was learned.
    """

    loss: float
    instance: float
    variance: float
    seed: float
    gradient_norm: float
    finite: bool


class Learner:
    """Network, loss and optimiser.

    Args:
        recipe: What is learned.
        classes: Number of classes, K.
        foreground: Weight of the foreground in the seed term, one for all classes or one for each.
        processes: This process among those of the run.
        arithmetic: Numbers inside the network.
    """

    def __init__(
        self,
        recipe: Recipe,
        classes: int,
        foreground: float | Sequence[float],
        processes: Processes,
        arithmetic: Arithmetic,
    ) -> None:
        self._recipe, self._processes = recipe, processes
        self._dtype = _DTYPES[arithmetic]
        network = BranchedERFNet([2 + recipe.n_sigma, classes], recipe.input_power, recipe.dropout)
        network.init_instance_head(recipe.n_sigma)
        # Weights of the encoder's pretraining head: never run, and DDP waits for every gradient.
        network.encoder.output_conv.requires_grad_(False)
        for module in network.modules():
            if isinstance(module, ChannelDropout):
                module.rank, module.world = processes.rank, processes.world
        if processes.world > 1:
            share_batch_norm(network, processes.device)
        if arithmetic == "float64":
            network = network.double()
        self.network = network.to(processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._parallel = processes.parallel(self.network)
        self._loss = SpatialEmbeddingLoss(
            n_sigma=recipe.n_sigma,
            to_center=not recipe.learn_center,
            foreground_weight=foreground,
        )
        self._trained = [p for p in self.network.parameters() if p.requires_grad]
        self._optimizer = torch.optim.Adam(
            self._trained, lr=1.0, weight_decay=recipe.optimizer.weight_decay
        )
        self._scaler = torch.amp.GradScaler(processes.device.type, enabled=arithmetic == "float16")

    def step(
        self, batch: Sequence[Tensor], learning_rate: float, *, seed: int, freeze_batch_norm: bool
    ) -> StepReport:
        """Learn from this process's part of a batch.

        Args:
            batch: Images (B, 3, S, S) uint8 or float 0..1, instances and labels int (B, S, S).
            learning_rate: Adam's.
            seed: Of this step's dropout, the same in all processes.
            freeze_batch_norm: Whether batch norm keeps its statistics.
        """
        torch.manual_seed(seed)
        self.network.train()
        if freeze_batch_norm:
            _freeze(self.network)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        images, instances, labels = (
            part.to(self._processes.device, non_blocking=True) for part in batch[:3]
        )
        terms = self._loss.terms(self._through(self._parallel, images), instances, labels)
        loss = _weighted_sum(terms, self._recipe.loss)
        parts = [loss, terms.instance, terms.variance, terms.seed]
        means = self._processes.mean(torch.stack([part.detach() for part in parts])).tolist()
        norm = self.descend(loss) if all(map(math.isfinite, means)) else math.nan
        finite = math.isfinite(norm) or (self._scales_down() and math.isfinite(means[0]))
        total, instance, variance, seed_term = means
        return StepReport(total, instance, variance, seed_term, norm, finite)

    def _scales_down(self) -> bool:
        """Whether float16 overflowed and a smaller loss scale may help."""
        return self._scaler.is_enabled() and self._scaler.get_scale() >= 1

    def descend(self, loss: Tensor) -> float:
        """Take the optimiser's step; return the gradient's norm. Nothing moves if that is none."""
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.unscale_(self._optimizer)
        limit = self._recipe.optimizer.clip_norm or math.inf
        norm = nn.utils.clip_grad_norm_(self._trained, limit).item()
        if math.isfinite(norm) or self._scaler.is_enabled():
            self._scaler.step(self._optimizer)  # leaves the step out where float16 overflowed
            self._scaler.update()
        return norm

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Map images as `run` does, in eval mode."""
        self.network.eval()
        return self.run(images)

    @torch.no_grad()
    def loss(self, prediction: Tensor, instances: Tensor, labels: Tensor) -> float:
        """Return the loss of a prediction (B, 2 + S + K, H, W) without learning from it."""
        targets = (part.to(self._processes.device) for part in (instances, labels))
        return float(_weighted_sum(self._loss.terms(prediction, *targets), self._recipe.loss))

    def run(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), uint8 or float 0..1, to raw maps, on the device."""
        return self._through(self.network, images.to(self._processes.device))

    def _through(self, network: nn.Module, images: Tensor) -> Tensor:
        if images.dtype == torch.uint8:
            images = images.float() / 255
        images = images.contiguous(memory_format=torch.channels_last)
        if self._dtype == torch.float64:
            prediction: Tensor = network(images.double())
            return prediction
        enabled = self._dtype != torch.float32
        with torch.autocast(self._processes.device.type, self._dtype, enabled=enabled):
            prediction = network(images)
        return prediction.float()

    def state(self) -> dict[str, Any]:
        """Return what has to be kept to go on."""
        return {
            "model_state_dict": self.network.state_dict(),
            "optimizer_state_dict": self._optimizer.state_dict(),
            "scaler_state_dict": self._scaler.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.network.load_state_dict(state["model_state_dict"])
        self._optimizer.load_state_dict(state["optimizer_state_dict"])
        self._scaler.load_state_dict(state["scaler_state_dict"])


def _weighted_sum(terms: LossTerms, weights: Loss) -> Tensor:
    """Return the loss of its terms."""
    return (
        weights.instance * terms.instance
        + weights.variance * terms.variance
        + weights.seed * terms.seed
    )


def choose_arithmetic(wanted: str, device: torch.device) -> Arithmetic:
    """Resolve the precision ``auto``: bfloat16 where the processor computes in it."""
    if wanted in _DTYPES:
        return wanted  # type: ignore[return-value]
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    return "bfloat16" if _cpu_computes_bfloat16() else "float32"


def _cpu_computes_bfloat16() -> bool:
    # Without these instructions PyTorch emulates bfloat16, slower than float32.
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _freeze(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
