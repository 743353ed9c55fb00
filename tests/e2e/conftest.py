"""What the end-to-end tests run on: a bundled clip, and a network small enough for many frames."""

from pathlib import Path

import pytest

from contract.artifact import Artifact

REPOSITORY = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def demo_clip() -> Path:
    """The real video that ships in the repository: 120 frames, 768x576."""
    return REPOSITORY / "assets" / "vtest_clip.mp4"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real network with random weights and a small input, exported as users do."""
    torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
    from model.export.exporter import export
    from model.net.erfnet import BranchedERFNet
    from model.net.loss import PAPER_GRID_STEP

    torch.manual_seed(0)
    network = BranchedERFNet([4, 2])
    network.init_instance_head(2)
    artifact = Artifact(
        name="tiny",
        version="1",
        classes=("person", "vehicle"),
        height=72,
        width=96,
        grid_step=PAPER_GRID_STEP,
        n_sigma=2,
        weights_sha256="",
    )
    return export(network.eval(), artifact, tmp_path_factory.mktemp("models")).folder
