"""The paper's network, and the curve it gives an image."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from isotone.imaging.radiograph import Radiograph
from isotone.networks.gdce import GDCE, gdce_curve, sample_bilinear


def seeded_network(num_layers: int = 5, num_iterations: int = 8) -> GDCE:
    torch.manual_seed(0)
    network = GDCE(num_layers, num_iterations).eval()
    with torch.no_grad():  # the default start gives coefficients near 0, where little could go wrong
        network.head[-2].bias.copy_(torch.linspace(-1.5, 1.5, num_iterations))
    return network


def test_it_has_the_parameters_of_the_paper() -> None:
    assert sum(p.numel() for p in GDCE(num_layers=5, num_iterations=8).parameters()) == 411_256


def test_its_layers_are_those_of_the_paper() -> None:
    network = GDCE()
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels) for m in convolutions] == [
        (2, 16),
        (16, 32),
        (32, 64),
        (64, 128),
        (128, 256),
    ]
    assert {(m.kernel_size, m.padding) for m in convolutions} == {((3, 3), (1, 1))}
    assert [type(m).__name__ for m in network.features] == ["Conv2d", "ReLU", "AvgPool2d"] * 4 + ["Conv2d", "ReLU"]
    assert [m.out_features for m in network.head if isinstance(m, nn.Linear)] == [64, 32, 8]


def test_coefficients_are_those_of_the_network_written_out() -> None:
    network, images = seeded_network(), torch.rand(2, 1, 300, 200)
    x = F.interpolate(torch.cat([images, 1 - images], 1), (256, 256), mode="bilinear", align_corners=False)
    weights = [p.detach() for p in network.parameters()]
    for i in range(5):
        x = F.conv2d(x, weights[2 * i], weights[2 * i + 1], padding=1).relu()
        x = F.avg_pool2d(x, 2) if i < 4 else x.mean((2, 3))
    for i in range(5, 8):
        x = x @ weights[2 * i].T + weights[2 * i + 1]
        x = x.tanh() if i == 7 else x.relu()
    torch.testing.assert_close(network.coefficients(images).detach(), x)


def test_images_pass_through_eq_1_each_with_its_own_coefficients() -> None:
    network, images = seeded_network(), torch.rand(3, 1, 40, 30)
    alphas = network.coefficients(images)
    for image, alpha, got in zip(images, alphas, network(images), strict=True):
        wanted = image
        for a in alpha:
            wanted = wanted + a * wanted * (1 - wanted)
        torch.testing.assert_close(got, wanted)
    assert len(alphas.unique(dim=0)) == 3


@pytest.mark.parametrize(("num_layers", "num_iterations"), [(1, 1), (3, 4), (7, 24)])
def test_other_depths_keep_images_in_range_and_have_as_many_coefficients_as_steps(
    num_layers: int, num_iterations: int
) -> None:
    network, images = seeded_network(num_layers, num_iterations), torch.rand(2, 1, 33, 47)
    assert network.coefficients(images).shape == (2, num_iterations)
    out = network(images)
    assert out.shape == images.shape
    assert out.min() >= 0
    assert out.max() <= 1


@pytest.mark.parametrize("wrong", [{"num_layers": 0}, {"num_layers": 10}, {"num_iterations": 0}, {"input_size": 8}])
def test_a_network_without_layers_or_steps_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"layer|step"):
        GDCE(**wrong)


@given(st.integers(1, 700), st.integers(1, 700), st.sampled_from([16, 64, 256]), st.integers(0, 99))
def test_sampling_a_few_pixels_equals_interpolating_all_of_them(rows: int, columns: int, size: int, seed: int) -> None:
    stored = np.random.default_rng(seed).integers(0, 65536, (rows, columns), np.uint16)
    radiograph = Radiograph.from_array(stored, bits=16).map_tone(np.sqrt)
    whole = torch.from_numpy(radiograph.pixels)[None, None]
    wanted = F.interpolate(whole, (size, size), mode="bilinear", align_corners=False)[0, 0]
    np.testing.assert_allclose(sample_bilinear(radiograph, size), wanted.numpy(), atol=1e-6)


@pytest.mark.parametrize("shape", [(3328, 2560), (4096, 1001), (257, 3001)])
def test_the_curve_of_a_large_image_is_that_of_all_its_pixels(shape: tuple[int, int]) -> None:
    network = seeded_network()
    stored = np.random.default_rng(0).integers(0, 4096, shape).astype(np.uint16) * 16
    radiograph = Radiograph.from_array(stored, bits=16)
    with torch.no_grad():
        wanted = network.coefficients(torch.from_numpy(radiograph.pixels)[None, None])[0]
    np.testing.assert_allclose(gdce_curve(network, radiograph).coefficients, wanted.numpy(), atol=1e-6)


def test_the_harmonized_radiograph_is_what_the_network_makes_of_the_image() -> None:
    network = seeded_network()
    radiograph = Radiograph.from_array(np.random.default_rng(0).random((64, 50)))
    with torch.no_grad():
        wanted = network(torch.from_numpy(radiograph.pixels)[None, None])[0, 0]
    got = radiograph.map_tone(gdce_curve(network, radiograph)).pixels
    np.testing.assert_allclose(got, wanted.numpy(), atol=2e-6)
