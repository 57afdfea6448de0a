"""The paper's loss terms against arithmetic written out."""

import math

import pytest
import torch

from isotone.networks.losses import perceptual_loss, pooled, task_loss, total_loss


def test_the_perceptual_term_is_the_mean_absolute_difference_of_pooled_features() -> None:
    ours, theirs = torch.rand(3, 5, 4, 6), torch.rand(3, 5, 4, 6)
    got = perceptual_loss(pooled(lambda x: x, ours), pooled(lambda x: x, theirs))
    by_hand = [abs(float(ours[n, k].mean() - theirs[n, k].mean())) for n in range(3) for k in range(5)]
    assert float(got) == pytest.approx(sum(by_hand) / 15)


def test_the_task_term_is_eq_2() -> None:
    logits, labels = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    by_hand = [
        -math.log(math.exp(row[y]) / sum(map(math.exp, row))) for row, y in zip(logits.tolist(), labels, strict=True)
    ]
    assert float(task_loss(logits, labels)) == pytest.approx(sum(by_hand) / 4)


def test_the_sum_is_eq_4() -> None:
    assert float(total_loss(torch.tensor(0.3), torch.tensor(1.1), "sum", 0.95)) == pytest.approx(1.4)


@pytest.mark.parametrize(("perceptual", "task", "k"), [(0.3, 1.1, 3), (0.5, 1.0, 2), (1.1, 0.3, 0), (0.7, 0.69, 0)])
def test_the_weighted_form_scales_the_perceptual_term_by_the_whole_ratio(
    perceptual: float, task: float, k: int
) -> None:
    got = total_loss(torch.tensor(perceptual), torch.tensor(task), "weighted", 0.95)
    assert float(got) == pytest.approx(0.95 * k * perceptual + 0.05 * task)


def test_the_ratio_is_a_constant_to_the_gradient() -> None:
    perceptual, task = torch.tensor(0.3, requires_grad=True), torch.tensor(1.1, requires_grad=True)
    total_loss(perceptual, task, "weighted", 0.5).backward()
    assert float(perceptual.grad) == pytest.approx(0.5 * 3)
    assert float(task.grad) == pytest.approx(0.5)


def test_features_that_agree_exactly_leave_the_task_term_alone() -> None:
    got = total_loss(torch.tensor(0.0), torch.tensor(2.0), "weighted", 0.95)
    assert float(got) == pytest.approx(0.05 * 2.0)
