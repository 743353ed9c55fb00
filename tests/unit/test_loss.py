"""The loss against golden values of the published method, and what they do not cover."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the workshop's extra `train` is not installed")

from model.net.loss import SpatialEmbeddingLoss  # noqa: E402  (after the skip)
from model.net.lovasz import InstanceHinge, lovasz_weights  # noqa: E402
from model.net.plain_loss import plain_loss  # noqa: E402
from tests.golden import golden_file  # noqa: E402


@pytest.mark.parametrize("name", [f"loss_{i}.npz" for i in range(4)])
def test_loss_and_gradient_equal_the_golden_values(name: str) -> None:
    golden = np.load(golden_file(name))
    criterion = SpatialEmbeddingLoss(
        n_sigma=int(golden["n_sigma"]),
        to_center=bool(golden["to_center"]),
        foreground_weight=float(golden["foreground_weight"]),
    )
    prediction = torch.from_numpy(golden["prediction"]).requires_grad_()
    weights = {key: float(golden[key]) for key in ("w_inst", "w_var", "w_seed")}
    instances, labels = (torch.from_numpy(golden[key]) for key in ("instances", "labels"))
    loss = criterion(prediction, instances, labels, **weights)
    loss.backward()
    assert loss.item() == pytest.approx(float(golden["loss"]), rel=1e-5)
    difference = np.linalg.norm(prediction.grad.numpy() - golden["grad"])
    assert difference <= 1e-4 * np.linalg.norm(golden["grad"])


@pytest.mark.parametrize("name", [f"loss_{i}.npz" for i in range(4)])
def test_the_plain_loss_equals_the_golden_values(name: str) -> None:
    golden = np.load(golden_file(name))
    prediction = torch.from_numpy(golden["prediction"]).requires_grad_()
    instances, labels = (torch.from_numpy(golden[key]) for key in ("instances", "labels"))
    terms = plain_loss(
        prediction,
        instances,
        labels,
        n_sigma=int(golden["n_sigma"]),
        to_center=bool(golden["to_center"]),
        foreground_weights=[float(golden["foreground_weight"])],
    )
    parts = zip(("w_inst", "w_var", "w_seed"), vars(terms).values(), strict=True)
    loss = sum(float(golden[key]) * term for key, term in parts)
    loss.backward()
    assert loss.item() == pytest.approx(float(golden["loss"]), rel=1e-5)
    difference = np.linalg.norm(prediction.grad.numpy() - golden["grad"])
    assert difference <= 1e-4 * np.linalg.norm(golden["grad"])


def made_batch(seed: int, n_sigma: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Up to three pictures of up to six rectangles, some of one pixel, some of them ignored."""
    rng = np.random.default_rng(seed)
    n_batch, n_classes = rng.integers(1, 4, 2)
    height, width = rng.integers(5, 24, 2)
    instances, labels = (np.zeros((n_batch, height, width), np.int64) for _ in range(2))
    for picture, classes in zip(instances, labels, strict=True):
        for number in range(1, int(rng.integers(0, 7)) + 1):
            y, x = int(rng.integers(height)), int(rng.integers(width))
            side = int(rng.choice([1, 1, 4, 9]))
            here = np.s_[y : y + side, x : x + side]
            picture[here], classes[here] = number * 40, rng.integers(1, n_classes + 1)
        y, x = int(rng.integers(height)), int(rng.integers(width))
        classes[y : y + int(rng.integers(0, 6)), x : x + 3] = 255
        alone = rng.random((height, width)) < 0.02  # a class, but no instance
        classes[alone & (picture == 0)] = rng.integers(1, n_classes + 1)
    prediction = rng.normal(0, 0.5, (n_batch, 2 + n_sigma + n_classes, height, width))
    prediction[:, :2] *= 0.02
    return torch.from_numpy(prediction), torch.from_numpy(instances), torch.from_numpy(labels)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("n_sigma", [1, 2])
@pytest.mark.parametrize("to_center", [True, False])
def test_the_fast_loss_is_the_plain_one(seed: int, n_sigma: int, to_center: bool) -> None:
    batch = made_batch(seed, n_sigma)
    n_classes = batch[0].shape[1] - 2 - n_sigma
    weights = [10.0, 3.0, 0.5][:n_classes] if seed % 2 else [2.0]
    options = {"n_sigma": n_sigma, "to_center": to_center}
    fast = SpatialEmbeddingLoss(foreground_weight=weights, **options).terms
    values, gradients = [], []
    for method in (fast, lambda *given: plain_loss(*given, foreground_weights=weights, **options)):
        prediction = batch[0].clone().requires_grad_()
        terms = method(prediction, *batch[1:])
        (terms.instance + 10 * terms.variance + terms.seed).backward()
        values.append([term.item() for term in vars(terms).values()])
        gradients.append(prediction.grad)
    assert values[0] == pytest.approx(values[1], rel=1e-6, abs=1e-9)
    # The fast one sorts in float32: errors that are closer than that may swap their weights.
    difference = (gradients[0] - gradients[1]).norm() / gradients[1].norm()
    assert difference < 1e-3, f"the gradients differ by {difference:.1e} of their norm"


def test_the_made_batches_hold_what_is_to_be_compared() -> None:
    batches = [made_batch(seed, 1) for seed in range(12)]
    counts = [
        np.unique(picture, return_counts=True)[1][1:]
        for _, instances, _ in batches
        for picture in instances.numpy()
    ]
    assert any(not len(areas) for areas in counts), "a picture without instances"
    assert any((areas == 1).any() for areas in counts), "an instance of one pixel"
    assert {prediction.shape[1] for prediction, *_ in batches} == {4, 5, 6}, "1, 2 and 3 classes"


def scene(
    n_instances: int, n_classes: int = 1, size: int = 64, side: int = 4
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A random prediction over a lattice of squares, classes dealt in turn."""
    generator = torch.Generator().manual_seed(n_instances)
    instances = torch.zeros(1, size, size, dtype=torch.int64)
    labels = torch.zeros(1, size, size, dtype=torch.int64)
    per_row = size // side
    for i in range(n_instances):
        y, x = divmod(i, per_row)
        here = np.s_[0, y * side : y * side + side - 1, x * side : x * side + side - 1]
        instances[here] = i + 1
        labels[here] = i % n_classes + 1
    prediction = 0.3 * torch.randn(1, 4 + n_classes, size, size, generator=generator)
    prediction[:, 2:4] += 1.0
    return prediction, instances, labels


def test_a_second_class_adds_only_its_own_seed_map() -> None:
    criterion = SpatialEmbeddingLoss(n_sigma=2)
    prediction, instances, labels = scene(20, n_classes=2)
    two = criterion.terms(prediction, instances, labels)
    one = criterion.terms(prediction[:, :5], instances, (labels > 0).long())
    torch.testing.assert_close(two.instance, one.instance)
    torch.testing.assert_close(two.variance, one.variance)
    assert two.seed != one.seed


def test_the_right_class_is_pushed_to_the_gaussian_and_the_wrong_one_to_zero() -> None:
    criterion = SpatialEmbeddingLoss(n_sigma=2)
    prediction, instances, labels = scene(1, n_classes=2)
    prediction[:, :2] = 0  # embeddings stay at their pixels: a Gaussian of nearly 1 inside
    prediction[:, 2:4] = 0.5
    prediction.requires_grad_()
    criterion.terms(prediction, instances, labels).seed.backward()
    right, wrong = prediction.grad[0, 4:, 1, 1]
    assert right < 0 < wrong


def test_an_ignored_pixel_changes_nothing() -> None:
    criterion = SpatialEmbeddingLoss(n_sigma=2, to_center=False)
    prediction, instances, labels = scene(30)
    labels[0, 10:20, 10:20] = 255
    instances[0, 40:42, 40:42] = 31
    labels[0, 40:42, 40:42] = 255  # an instance that is ignored as a whole
    prediction.requires_grad_()
    loss = criterion(prediction, instances, labels)
    loss.backward()
    assert prediction.grad[0, :, 10:20, 10:20].abs().max() == 0
    assert prediction.grad[0, :, 40:42, 40:42].abs().max() == 0
    changed = prediction.detach().clone()
    changed[0, :, 10:20, 10:20] = 3.0
    assert criterion(changed, instances, labels) == loss


def test_more_than_255_instances_each_count() -> None:
    criterion = SpatialEmbeddingLoss(n_sigma=2)
    prediction, instances, labels = scene(16 * 16, size=64)
    many, few = (instances, instances % 256)  # what eight-bit ids would make of it
    assert instances.max() == 256
    assert (
        criterion.terms(prediction, many, labels).instance
        != criterion.terms(prediction, few, labels).instance
    )


def test_a_batch_is_the_mean_of_its_images() -> None:
    criterion = SpatialEmbeddingLoss(n_sigma=2)
    scenes = [scene(3), scene(40), scene(0)]
    batch = [torch.cat(part) for part in zip(*scenes, strict=True)]
    mean = sum(criterion(*one) for one in scenes) / 3
    torch.testing.assert_close(criterion(*batch), mean)


@pytest.mark.parametrize("wrong", [0, 2])
def test_an_instance_without_a_known_class_is_refused(wrong: int) -> None:
    prediction, instances, labels = scene(3)
    labels[instances == 2] = wrong
    with pytest.raises(ValueError, match=rf"1 instances have labels \[{wrong}\], expected 1\.\.1"):
        SpatialEmbeddingLoss(n_sigma=2)(prediction, instances, labels)


def test_maps_of_the_wrong_shape_are_refused() -> None:
    prediction, instances, labels = scene(3)
    with pytest.raises(ValueError, match="expected \\(B, 2 \\+ 2 \\+ classes"):
        SpatialEmbeddingLoss(n_sigma=2)(prediction, instances[:, :10], labels)


def test_three_bandwidths_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 1 or 2"):
        SpatialEmbeddingLoss(n_sigma=3)


def test_the_lovasz_extension_equals_the_jaccard_loss_on_binary_mistakes() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((5, 40)) < 0.4
    mistakes = rng.random((5, 40)) < 0.3
    predicted = truth ^ mistakes
    union = (truth | predicted).sum(1)
    expected = 1 - (truth & predicted).sum(1) / union
    shuffle = rng.permutation(truth.size)
    row = torch.from_numpy(np.repeat(np.arange(5), 40)[shuffle])
    errors = torch.from_numpy(mistakes.astype(np.float32).ravel()[shuffle])
    weights = lovasz_weights(errors, torch.from_numpy(truth.ravel()[shuffle]), row, n_rows=5)
    losses = torch.bincount(row, weights * errors)
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("n_sigma", [1, 2])
def test_the_written_gradient_of_the_instance_term_is_the_numerical_one(n_sigma: int) -> None:
    rng = torch.Generator().manual_seed(1)
    n_pixels, n_batch, n_instances = 30, 2, 5
    embedding = torch.rand(2, n_batch * n_pixels, generator=rng, dtype=torch.float64)
    center = torch.rand(2, n_instances, generator=rng, dtype=torch.float64)
    precision = 1 + torch.rand(n_sigma, n_instances, generator=rng, dtype=torch.float64)
    image = torch.tensor([0, 0, 0, 1, 1])
    instance_of = torch.full((n_batch, n_pixels), -1)
    instance_of[0, :15] = torch.arange(15) % 3
    instance_of[1, 5:15] = 3 + torch.arange(10) % 2
    valid = torch.rand(n_batch, n_pixels, generator=rng) < 0.8
    valid |= instance_of >= 0
    weight = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5])
    parts = [part.requires_grad_() for part in (embedding, center, precision)]
    # The Jaccard weights are float32, as the golden gradients have them: hence the tolerance.
    assert torch.autograd.gradcheck(
        lambda *p: InstanceHinge.apply(*p, instance_of.view(-1), image, weight, valid),
        parts,
        eps=1e-5,
        atol=1e-5,
        rtol=1e-3,
    )
