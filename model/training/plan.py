"""Where a run stands: steps counted over the whole run, and what each of them is."""

from collections.abc import Sequence
from dataclasses import dataclass

from model.training.recipe import Optimizer, Stage


@dataclass(frozen=True)
class Phase:
    """A stage with its place in the run.

    Attributes:
        stage: The recipe's stage.
        number: Which one, from 0.
        first_step: Step of the run at which it begins.
        steps_per_epoch: Whole batches of an epoch; a rest smaller than a batch is left out.
        first_epoch: Epoch of the run at which it begins.
    """

    stage: Stage
    number: int
    first_step: int
    steps_per_epoch: int
    first_epoch: int

    @property
    def steps(self) -> int:
        """Steps of the stage."""
        return self.steps_per_epoch * self.stage.epochs

    @property
    def end(self) -> int:
        """Step of the run after its last one."""
        return self.first_step + self.steps

    @property
    def crops_per_epoch(self) -> int:
        """Crops that an epoch really uses."""
        return self.steps_per_epoch * self.stage.batch

    def learning_rate(self, step: int, optimizer: Optimizer) -> float:
        """Return the learning rate of a step of the run within this stage."""
        done, total = step - self.first_step, self.steps
        if optimizer.decay_by == "epoch":
            done, total = done // self.steps_per_epoch, self.stage.epochs
        return float(self.stage.learning_rate * (1 - done / total) ** optimizer.decay_power)


def plan(stages: Sequence[Stage], pictures: int) -> list[Phase]:
    """Lay the stages of a recipe out over steps, for data of so many pictures."""
    phases: list[Phase] = []
    step = epoch = 0
    for number, stage in enumerate(stages):
        per_epoch = max(1, (stage.crops_per_epoch or pictures) // stage.batch)
        phases.append(Phase(stage, number, step, per_epoch, epoch))
        step, epoch = step + per_epoch * stage.epochs, epoch + stage.epochs
    return phases
