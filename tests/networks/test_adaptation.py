"""Adapted classifiers: the frozen one stays as it is, the copy follows the new scanner."""

import numpy as np
import pytest
import torch
from torch import nn

from isotone.data.sample import Sample
from isotone.errors import IsotoneError
from isotone.networks.classifier import Classifier
from isotone.networks.small import SmallNet
from isotone.networks.training.adaptation import adapt_batch_norm, fine_tune


def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier.from_module(SmallNet(2), classes=("dark", "light"), image_size=16, channels=1)


def images(n: int, shift: float) -> np.ndarray:
    return np.random.default_rng(0).random((n, 16, 16)).astype(np.float32) * 0.4 + shift


def samples(n: int) -> list[Sample]:
    grey = images(n, 0.0) + 0.5 * (np.arange(n) % 2)[:, None, None].astype(np.float32)
    blank = np.zeros((1, 1), np.uint16)
    labels = [("dark", "light")[i % 2] for i in range(n)]
    return [Sample(blank, blank == 0, prepared=g, label=label) for g, label in zip(grey, labels, strict=True)]


def test_batch_norm_statistics_become_those_of_the_images() -> None:
    frozen = classifier()
    before = {k: v.clone() for k, v in frozen.module.state_dict().items()}
    shifted = images(70, 0.5)
    adapted = adapt_batch_norm(frozen, shifted)
    first = next(m for m in adapted.module.modules() if isinstance(m, nn.BatchNorm2d))
    convolution = next(m for m in adapted.module.modules() if isinstance(m, nn.Conv2d))
    wanted = convolution(torch.from_numpy(shifted).unsqueeze(1)).mean((0, 2, 3))
    torch.testing.assert_close(first.running_mean, wanted, atol=1e-3, rtol=1e-2)
    assert not adapted.module.training
    assert not first.training
    assert all(torch.equal(v, before[k]) for k, v in frozen.module.state_dict().items())


def test_without_batch_norm_or_images_there_is_nothing_to_adapt() -> None:
    plain = Classifier.from_module(
        nn.Sequential(nn.Flatten(), nn.Linear(256, 2)), classes=("a", "b"), image_size=16, channels=1
    )
    with pytest.raises(IsotoneError, match="no batch normalisation"):
        adapt_batch_norm(plain, images(4, 0))
    with pytest.raises(IsotoneError, match="fewer than two"):
        adapt_batch_norm(classifier(), images(1, 0))


def test_fine_tuning_learns_on_a_copy() -> None:
    frozen = classifier()
    before = {k: v.clone() for k, v in frozen.module.state_dict().items()}
    train = samples(48)
    tuned = fine_tune(frozen, train, train)
    prepared = np.stack([s.prepared for s in train])
    truth = np.arange(48) % 2
    loss = [-np.log(c.predict(prepared)[np.arange(48), truth]).mean() for c in (frozen, tuned)]
    assert loss[1] < loss[0]
    assert all(torch.equal(v, before[k]) for k, v in frozen.module.state_dict().items())
    assert not any(p.requires_grad for p in tuned.module.parameters())


def test_fine_tuning_needs_labels() -> None:
    with pytest.raises(IsotoneError, match="no labelled image"):
        fine_tune(classifier(), [], samples(4))
