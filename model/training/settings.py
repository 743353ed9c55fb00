"""Settings of `seedstream train`: environment variables with the prefix ``TRAIN_``."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class TrainSettings(BaseSettings):
    """How to run a recipe; what to learn is in the recipe itself."""

    model_config = SettingsConfigDict(
        env_prefix="TRAIN_", frozen=True, use_attribute_docstrings=True, validate_default=True
    )

    recipe: str = "street"
    """Name of a module in model/recipes."""

    data: Path = Path("../shared/data")
    """Folder that holds the recipe's videos and photographs."""

    out: Path = Path("runs/street")
    """Folder for checkpoint.pt and log.jsonl; an unfinished run found there goes on."""

    steps: int | None = Field(default=None, ge=1)
    """Optimiser steps; unset takes the recipe's number."""

    seed: int = Field(default=0, ge=0)
    """Seed of the weights, the crops and the order."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes CUDA where there is one."""

    bfloat16: bool = True
    """Run the network in bfloat16; losses and weights stay float32."""

    threads: int = Field(default=2, ge=1)
    """CPU threads of the network."""

    data_workers: int = Field(default=1, ge=0)
    """Processes that compose crops; 0 composes between the steps."""

    checkpoint_every: int = Field(default=200, ge=1)
    """Steps between checkpoints."""

    log_every: int = Field(default=20, ge=1)
    """Steps between lines of the log."""
