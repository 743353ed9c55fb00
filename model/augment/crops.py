"""Crops as PyTorch reads them: crop number ``n`` of a run is a function of the seed and ``n``.

Legend: S pixels of the square crop.
"""

import signal
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from model.augment.compose import Composer
from model.data.data_set import BrokenSampleError

Item = tuple[Tensor, Tensor, Tensor, int]
"""Image (3, S, S) uint8, instances (S, S) int32, labels (S, S) uint8, crop number.

As small as they are: batches come through shared memory, of which a container has little.
"""


class Crops(Dataset[Item | BrokenSampleError]):
    """The endless row of a stage's crops.

    An epoch is ``per_epoch`` crops: each scene has its share by weight, and within a scene every
    picture comes once before any comes again. Nothing depends on the process, the batch or the
    point at which a run was resumed.

    Args:
        composer: Draws the crops.
        per_epoch: Crops of an epoch.
        seed: Numbers that tell this row from others: the run's seed and the stage.
    """

    def __init__(self, composer: Composer, per_epoch: int, seed: Sequence[int]) -> None:
        self._composer, self._per_epoch, self._seed = composer, per_epoch, list(seed)
        self._plan: tuple[int, NDArray[np.int64]] = (-1, np.zeros((0, 2), np.int64))

    def __getitem__(self, index: int) -> Item | BrokenSampleError:
        """Draw crop ``index``; a broken picture comes back as the error that tells about it."""
        scene, picture = self.place(index)
        rng = np.random.default_rng([*self._seed, 1, index])
        try:
            crop = self._composer.draw_from(scene, picture, rng)
        except BrokenSampleError as error:
            return error  # raised, it would reach the trainer as text from another process
        image = torch.from_numpy(np.ascontiguousarray(crop.image.transpose(2, 0, 1)))
        return image, torch.from_numpy(crop.instances), torch.from_numpy(crop.labels), index

    def place(self, index: int) -> tuple[int, int]:
        """Return the scene and the picture of crop ``index``."""
        epoch, position = divmod(index, self._per_epoch)
        if self._plan[0] != epoch:
            self._plan = (epoch, self._make_plan(epoch))
        scene, picture = self._plan[1][position].tolist()
        return scene, picture

    def _make_plan(self, epoch: int) -> NDArray[np.int64]:
        """Scene and picture of each crop of an epoch, (per_epoch, 2)."""
        rng = np.random.default_rng([*self._seed, 0, epoch])
        scenes = self._composer.scenes
        weights = np.array([scene.weight for scene in scenes])
        # Largest parts first keep the counts exact: the borders of the running shares, rounded.
        borders = np.round(np.cumsum(weights / weights.sum()) * self._per_epoch).astype(int)
        counts = np.diff(borders, prepend=0)
        plan = [
            np.stack([np.full(count, number), _in_turn(len(scene.pictures), int(count), rng)], 1)
            for number, (scene, count) in enumerate(zip(scenes, counts, strict=True))
        ]
        return rng.permutation(np.concatenate(plan).astype(np.int64))


def _in_turn(n: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``count`` numbers below ``n``, each once before any comes again."""
    rounds = [rng.permutation(n) for _ in range(-(-count // n))]
    return np.concatenate([*rounds, np.zeros(0, np.int64)])[:count].astype(np.int64)


def collate(items: Sequence[Item | BrokenSampleError]) -> list[Tensor] | BrokenSampleError:
    """Stack crops to a batch: images, instances, labels, crop numbers; or return an error."""
    good: list[Item] = []
    for item in items:
        if isinstance(item, BrokenSampleError):
            return item
        good.append(item)
    stacked: list[Tensor] = default_collate(good)
    return stacked


def load_batches(
    crops: Crops, parts: Sequence[list[int]], workers: int, device: torch.device
) -> Iterator[list[Tensor]]:
    """Make batches, some ahead of time in processes of their own.

    Args:
        crops: What they are made of.
        parts: Crop numbers of each batch.
        workers: Number of processes; 0 makes each batch when it is asked for.
        device: Where the batches go.

    Yields:
        Images (B, 3, S, S), instances, labels (B, S, S) and crop numbers (B,).

    Raises:
        BrokenSampleError: A picture cannot be used.
    """
    loader = DataLoader(
        crops,
        batch_sampler=parts,
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=_one_thread,
        # Forked, what is in memory (cut-outs, cached pictures) is shared and not copied.
        multiprocessing_context="fork" if workers else None,
        prefetch_factor=4 if workers else None,
        pin_memory=device.type == "cuda",
    )
    for batch in loader:
        if isinstance(batch, BrokenSampleError):
            raise batch
        yield batch


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)  # the network needs the cores, and OpenCV's threads do not fork
    for number in (signal.SIGTERM, signal.SIGINT):  # the trainer hears it and stops in order
        signal.signal(number, signal.SIG_IGN)


def batch_indices(
    first_step: int, last_step: int, batch: int, rank: int, world: int
) -> list[list[int]]:
    """Crop numbers of one process's part of each global batch.

    Args:
        first_step: First step, counted within the stage.
        last_step: Step after the last one.
        batch: Crops of the global batch.
        rank: Which process.
        world: Number of processes; divides ``batch``.
    """
    own = batch // world
    begins = (step * batch + rank * own for step in range(first_step, last_step))
    return [list(range(begin, begin + own)) for begin in begins]
