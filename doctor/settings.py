"""A worker's settings as they are examined: a broken model is a finding, not the end."""

from pathlib import Path

from pydantic import field_validator

from workers.settings import WorkerSettings


class ExaminedWorker(WorkerSettings):
    """A worker's settings, whose model may be missing or broken."""

    model: Path = Path()
    """Model artifact, not opened; the current folder stands for none."""

    @field_validator("model")
    @classmethod
    def _check_model(cls, value: Path) -> Path:
        return value

    @property
    def named_model(self) -> Path | None:
        """The model artifact, None unless set."""
        return None if self.model == Path() else self.model
