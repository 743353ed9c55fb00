"""When a run stops early: after so many validations in a row without a better one."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass
class Patience:
    """Counts validations without a better one.

    Better is a higher score, or the same score with a lower loss: in the beginning nothing is found
    and every score is 0, while the loss already falls.

    Attributes:
        limit: Validations without a better one after which the run stops; 0 never stops it.
        since: Validations in a row without a better one.
    """

    limit: int
    since: int = 0
    _best: tuple[float, float] | None = None

    def hear(self, score: float | None, loss: float) -> None:
        """Take a validation into account.

        Args:
            score: None where there was nothing to find: worse than any other.
            loss: One that is not a number is worse than any other.
        """
        found = (-1.0 if score is None else score, -loss if math.isfinite(loss) else -math.inf)
        is_better = self._best is None or found > self._best
        if is_better:
            self._best = found
        self.since = 0 if is_better else self.since + 1

    @property
    def is_over(self) -> bool:
        """Whether the run stops."""
        return 0 < self.limit <= self.since

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"since": self.since, "best": None if self._best is None else list(self._best)}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint; older ones have none and begin anew."""
        best = state.get("best")
        self.since = int(state.get("since", 0))
        self._best = None if best is None else (float(best[0]), float(best[1]))
