"""Settings of `seedstream train`: environment variables with the prefix ``TRAIN_``."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from contract.settings import EnvironmentSettings

Precision = Literal["auto", "float64", "float32", "bfloat16", "float16"]


class TrainSettings(EnvironmentSettings):
    """How to run a recipe; what to learn is in the recipe itself."""

    model_config = SettingsConfigDict(
        env_prefix="TRAIN_", frozen=True, use_attribute_docstrings=True, validate_default=True
    )

    removed: ClassVar[Mapping[str, str]] = {"keep_checkpoints": "fixed at 2"}
    """Names of removed settings, and what applies instead, for a warning."""

    essential: ClassVar[tuple[str, ...]] = ("recipe", "data", "out", "device", "initial_weights")
    sections: ClassVar[Mapping[str, str]] = {
        "recipe": "Run",
        "threads": "Processor and memory",
        "checkpoint_every": "Checkpoints, log and validation",
        "stop_after": "Run",
        "deterministic": "Run",
    }

    recipe: str
    """Name of a recipe shipped with Seedstream, or path of a .toml file."""

    data: Path
    """Data set, or the folder that contains the recipe's data sets."""

    broken: Literal["stop", "ignore"] = "stop"
    """What to do with pictures that cannot be used, and regions whose class and instance contradict
    each other. stop: name them all before the first step and refuse. ignore: leave such pictures
    out, ignore such regions, and say how many."""

    out: Path
    """Folder of the run; an unfinished run found there is resumed."""

    seed: int = Field(default=0, ge=0, lt=2**31)
    """Random seed for the weights, the crops and their order."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto uses CUDA if available."""

    precision: Precision = "auto"
    """Number format inside the network; losses and weights stay float32. auto: bfloat16 if the
    processor computes in it, otherwise float16 on CUDA and float32 on the CPU. float64 is for
    comparing runs: rounding no longer tells one process from several."""

    threads: int = Field(default=0, ge=0)
    """CPU threads for the network; 0 leaves it to PyTorch (all cores; one under torchrun)."""

    data_workers: int = Field(default=1, ge=0)
    """Processes that draw crops, per training process; 0 draws them between the steps."""

    cache_bytes: int = Field(default=1 << 30, ge=0)
    """Memory per process for decoded pictures, in bytes."""

    checkpoint_every: int = Field(default=200, ge=1)
    """Steps between checkpoints."""

    log_every: int = Field(default=20, ge=1)
    """Steps between log lines."""

    validation_pictures: int = Field(default=200, ge=0)
    """Maximum pictures per validation; 0 skips it, and the last weights count as the best."""

    stop_after: int | None = Field(default=None, ge=1)
    """Stop after this number of steps of the whole run; it can be resumed later."""

    patience: int = Field(default=0, ge=0)
    """Stop after this number of validations in a row without a better one; 0 never does."""

    initial_weights: Path | None = None
    """Weights to start from: an artifact (NAME/VERSION), the folder of a run (its best checkpoint),
    a checkpoint, or an ERFNet encoder. A resumed run must have started from the same file."""

    deterministic: bool = True
    """Request kernels that give the same numbers every time, and warn where there are none (slower
    on CUDA)."""
