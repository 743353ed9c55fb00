from model.training.patience import Patience


def test_validations_without_a_better_one_are_counted_in_a_row() -> None:
    patience = Patience(2)
    for score, loss in ((0.5, 1.0), (0.4, 0.9), (0.6, 1.2), (0.6, 1.2)):
        patience.hear(score, loss)
    assert not patience.is_over

    patience.hear(0.5, 0.1)
    assert patience.is_over


def test_while_nothing_is_found_a_falling_loss_is_better() -> None:
    patience = Patience(1)
    for loss in (3.0, 2.0, 1.0):
        patience.hear(0.0, loss)
    assert not patience.is_over

    patience.hear(0.0, 1.0)
    assert patience.is_over


def test_what_could_not_be_measured_is_never_better() -> None:
    patience = Patience(2)
    patience.hear(0.0, 5.0)
    patience.hear(None, 1.0)
    patience.hear(0.0, float("nan"))
    assert patience.is_over


def test_without_a_limit_it_never_ends() -> None:
    patience = Patience(0)
    for _ in range(50):
        patience.hear(0.0, 1.0)
    assert not patience.is_over


def test_what_was_counted_goes_on_after_a_checkpoint() -> None:
    before, after = Patience(2), Patience(2)
    before.hear(0.5, 1.0)
    before.hear(0.5, 1.0)
    after.load(before.state())

    after.hear(0.5, 1.0)
    assert after.is_over
