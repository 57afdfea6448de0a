"""Networks are known by all that their output depends on."""

import torch
from torch import nn

from isotone.networks.classifier import Classifier


class Scaled(nn.Module):
    def __init__(self, scale: object) -> None:
        super().__init__()
        self.scale, self.layer = scale, nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.flatten(1)[:, :4])


def digest(module: nn.Module, **facts: object) -> str | None:
    return Classifier.from_module(module, **{"classes": ["a", "b"], "image_size": 16} | facts).digest  # type: ignore[arg-type]


def scaled(scale: object) -> nn.Module:
    torch.manual_seed(0)
    return Scaled(scale)


def test_equal_networks_have_equal_digests_and_others_have_others() -> None:
    weights = scaled(1.0)
    with torch.no_grad():
        weights.layer.bias[0] += 1e-7
    found = [
        digest(scaled(1.0)),
        digest(scaled(2.0)),
        digest(scaled(torch.tensor(2.0))),
        digest(weights),
        digest(scaled(1.0), mean=0.5),
        digest(scaled(1.0), classes=["b", "a"]),
    ]
    assert found[0] == digest(scaled(1.0))
    assert None not in found
    assert len(set(found)) == len(found)


def test_a_network_that_holds_more_than_numbers_and_layers_has_no_digest() -> None:
    assert digest(scaled(lambda x: x)) is None
    assert digest(torch.jit.trace(scaled(1.0), torch.zeros(1, 3, 16, 16))) is None
