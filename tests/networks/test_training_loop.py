"""Which epoch is kept, when the learning rate falls, and when training ends."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from isotone._runtime.run_options import RunOptions
from isotone.errors import IsotoneError
from isotone.networks.training.loop import Row, Schedule, epochs_without_better, run_epochs, seeded
from isotone.networks.training.precision import Steps
from isotone.networks.training.score import LEAST, WORST_GROUP, Criterion, worst_group_accuracy


class Counter(nn.Module):
    """Its only weight is the number of epochs it has trained."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs = nn.Parameter(torch.zeros(()))


def run(scores: list[float], *, loss: float = 1.0, **schedule: object) -> tuple[Counter, list[Row]]:
    module = Counter()
    planned: Iterator[float] = iter(scores)

    def train(rng: np.random.Generator) -> Row:
        with torch.no_grad():
            module.epochs += 1
        return {"loss": loss, "draw": float(rng.random())}

    rows = run_epochs(
        module,
        Steps(torch.optim.Adam(module.parameters(), 1.0), torch.device("cpu")),
        Schedule(**{"epochs": len(scores)} | schedule),
        train,
        lambda: {"worst_group_accuracy": next(planned), "val_loss": 0.0},
        run=RunOptions(quiet=True),
        label="testing",
    )
    return module, rows


def test_the_best_epoch_is_kept_with_its_weights() -> None:
    module, rows = run([0.1, 0.7, 0.3])
    assert module.epochs.item() == 2
    assert [row["kept"] for row in rows] == [0, 1, 0]


def test_of_equal_epochs_the_later_is_kept_if_asked_and_else_the_earlier_is_kept() -> None:
    assert run([0.5, 0.5, 0.2])[0].epochs.item() == 1
    assert run([0.5, 0.5, 0.2], of_equals="later")[0].epochs.item() == 2


def test_the_learning_rate_falls_and_training_stops_after_as_many_epochs_without_better() -> None:
    _, rows = run([0.1, 0.5] + [0.5] * 10, of_equals="later", reduce_after=2, stop_after=5)
    assert len(rows) == 2 + 5
    assert [row["learning_rate"] for row in rows] == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01])


def test_a_better_epoch_starts_the_count_again() -> None:
    _, rows = run([0.1, 0.1, 0.2, 0.2, 0.2, 0.9], stop_after=2)
    assert len(rows) == 5
    assert epochs_without_better(rows, WORST_GROUP) == 2


def test_few_validation_images_of_a_class_are_no_ground_for_worst_group_accuracy() -> None:
    enough = ["A"] * LEAST + ["B"] * LEAST
    assert Criterion.of(enough) == WORST_GROUP
    smooth = Criterion.of(enough[:-1])
    lucky, trained = {"worst_group_accuracy": 1.0, "val_loss": 2.0}, {"worst_group_accuracy": 0.5, "val_loss": 0.3}
    assert smooth(trained) > smooth(lucky)
    assert WORST_GROUP(lucky) > WORST_GROUP(trained)


def test_gains_too_small_to_matter_do_not_keep_training_alive() -> None:
    rows = [{"val_loss": loss} for loss in (1.0, 0.5, 0.499, 0.498, 0.4)]
    smooth = Criterion("val_loss")
    assert [epochs_without_better(rows[:n], smooth) for n in range(1, 6)] == [0, 0, 1, 2, 0]


def test_without_a_limit_all_epochs_are_run_at_one_rate() -> None:
    _, rows = run([0.5] * 30)
    assert len(rows) == 30
    assert {row["learning_rate"] for row in rows} == {1.0}


def test_a_loss_that_is_not_finite_ends_training_with_an_error() -> None:
    with pytest.raises(IsotoneError, match="not finite") as caught:
        run([0.5], loss=float("nan"))
    assert caught.value.code == "E_DATA"


def test_an_epochs_random_numbers_follow_from_seed_and_epoch_alone() -> None:
    def draws(seed: int, step: int) -> tuple[float, float]:
        with seeded(seed, step) as rng:
            return float(rng.random()), float(torch.rand(()))

    assert draws(0, 1) == draws(0, 1)
    assert len({draws(s, e) for s in range(3) for e in range(3)}) == 9


def test_torchs_own_random_state_is_put_back() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with seeded(0, 1):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_worst_group_accuracy_is_the_lowest_recall_of_the_classes_present() -> None:
    assert worst_group_accuracy(["A", "A", "A", "A", "C", "C"], ["A", "A", "A", "C", "C", "B"]) == 0.5
    assert worst_group_accuracy(["A", "A"], ["A", "A"]) == 1.0
