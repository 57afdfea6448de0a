"""VGG-16 up to conv2_2: its arithmetic, and where its weights come from."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.nn import functional as F

from isotone.errors import IsotoneError, ModelError
from isotone.networks import vgg
from isotone.networks.vgg import VGG16Features, load_vgg16

SHARED = Path(__file__).parents[3] / "shared"
OXFORD = SHARED / "weights" / "vgg16_features_conv2_2_caffe_rgb.safetensors"


def made_up(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    state = VGG16Features().state_dict()
    return {n: torch.randn(v.shape, generator=generator) / 20 for n, v in state.items() if n.startswith("features")}


def by_hand(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    def conv(x: torch.Tensor, i: int) -> torch.Tensor:
        return F.conv2d(x, state[f"features.{i}.weight"], state[f"features.{i}.bias"], padding=1)

    x = F.max_pool2d(conv(conv(x, 0).relu(), 2).relu(), 2, 2)
    return conv(conv(x, 5).relu(), 7)


def test_features_are_conv2_2_before_its_relu_with_the_scaling_of_the_file(tmp_path: Path) -> None:
    state = made_up() | {"mean": torch.tensor([0.4, 0.5, 0.6]), "std": torch.tensor([0.2, 0.3, 0.4])}
    safetensors.torch.save_file(state, tmp_path / "vgg.safetensors")
    grey = torch.rand(2, 1, 12, 16)
    got = load_vgg16(tmp_path / "vgg.safetensors")(grey)
    scaled = (grey.repeat(1, 3, 1, 1) - state["mean"].view(3, 1, 1)) / state["std"].view(3, 1, 1)
    wanted = by_hand(state, scaled)
    assert got.shape == (2, 128, 6, 8)
    torch.testing.assert_close(got, wanted)
    assert (got < 0).any()


def test_a_file_that_does_not_state_its_scaling_is_refused(tmp_path: Path) -> None:
    safetensors.torch.save_file(made_up(), tmp_path / "vgg.safetensors")
    with pytest.raises(IsotoneError, match="scaled") as caught:
        load_vgg16(tmp_path / "vgg.safetensors")
    assert caught.value.code == "E_WEIGHTS"


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    state = made_up() | {"mean": torch.zeros(3), "std": torch.ones(3)}
    del state["features.7.bias"]
    safetensors.torch.save_file(state, tmp_path / "vgg.safetensors")
    with pytest.raises(ModelError, match=r"features\.7\.bias"):
        load_vgg16(tmp_path / "vgg.safetensors")


@pytest.mark.parametrize("content", [None, b"not safetensors"])
def test_a_missing_or_foreign_file_is_an_error_of_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "vgg.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(IsotoneError) as caught:
        load_vgg16(path)
    assert caught.value.code == "E_WEIGHTS"
    assert "\n" not in str(caught.value)


def test_offline_without_weights_the_error_offers_the_classifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(vgg, "TORCHVISION_URL", "http://127.0.0.1:9/vgg16-397923af.pth")  # nobody listens there
    with pytest.raises(IsotoneError, match='perceptual="classifier"') as caught:
        load_vgg16()
    assert caught.value.code == "E_WEIGHTS"
    assert not list(tmp_path.rglob("*.pth"))


def test_a_user_without_a_home_gets_the_same_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with pytest.raises(IsotoneError, match="home directory") as caught:
        load_vgg16()
    assert caught.value.code == "E_WEIGHTS"


def test_a_download_is_checked_trimmed_and_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "vgg16-397923af.pth"
    state = made_up() | {"classifier.6.bias": torch.zeros(1000)}
    torch.save(state, archive)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(vgg, "TORCHVISION_URL", archive.as_uri())
    monkeypatch.setattr(vgg, "TORCHVISION_SHA256", digest)
    first = load_vgg16()
    archive.unlink()
    second = load_vgg16()  # from the cache: there is nothing to download any more
    torch.testing.assert_close(first.mean, torch.tensor(vgg.IMAGENET[0]))
    for ours, theirs in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert [p.suffix for p in (tmp_path / "cache").rglob("*") if p.is_file()] == [".safetensors"]


def test_a_download_with_another_checksum_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "vgg16-397923af.pth"
    torch.save(made_up(), archive)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(vgg, "TORCHVISION_URL", archive.as_uri())
    with pytest.raises(IsotoneError, match="hash"):
        load_vgg16()


@pytest.mark.skipif(not OXFORD.exists(), reason="needs ../shared/weights")
def test_the_original_weights_bring_their_own_scaling() -> None:
    network = load_vgg16(OXFORD)
    state = safetensors.torch.load_file(OXFORD)
    grey = torch.rand(1, 1, 32, 32)
    mean = torch.tensor([123.68, 116.779, 103.939]).view(3, 1, 1)
    wanted = by_hand(state, 255 * grey.repeat(1, 3, 1, 1) - mean)
    np.testing.assert_allclose(network(grey).numpy(), wanted.numpy(), rtol=1e-3, atol=0.05)
    assert not any(p.requires_grad for p in network.parameters())
