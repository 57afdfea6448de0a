"""VGG-16 up to conv2_2, the paper's perceptual network (Simonyan & Zisserman 2015)."""

from __future__ import annotations

import hashlib
import os
import urllib.error
from pathlib import Path

import torch
from torch import Tensor, nn

from isotone.errors import IsotoneError, ModelError
from isotone.networks.pretrained import IMAGENET
from isotone.networks.weights import load_strictly, load_weights, read_tensors, save_weights

TORCHVISION_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
TORCHVISION_SHA256 = "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"
OXFORD_SHA256 = "153dcd3f5ed9600aaece0bc1f0d43b3ddee5e83436ce6681e759d2b27e23beba"

OXFORD = ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255))
"""Input scaling of the original weights: RGB, 0..255, minus the mean."""


class VGG16Features(nn.Module):
    """Grey levels of shape (n, 1, h, w) in [0, 1] to features of shape (n, 128, h/2, w/2).

    The output is that of torchvision's ``vgg16().features[7]``: conv2_2 before its ReLU. Mean and standard
    deviation belong to the weights and are saved with them; the original weights and torchvision's differ in
    the scale of their features too, so that a loss weight found with one does not carry over to the other.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(128, 128, 3, padding=1),
        )
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("std", torch.ones(3))

    def forward(self, grey: Tensor) -> Tensor:
        scaled = (grey.expand(-1, 3, -1, -1) - self.mean.view(3, 1, 1)) / self.std.view(3, 1, 1)
        return self.features(scaled)  # type: ignore[no-any-return]


def load_vgg16(path: str | Path | None = None) -> VGG16Features:
    """The network with its weights, frozen.

    Parameters
    ----------
    path : path, optional
        A safetensors file that holds ``features.{0,2,5,7}.{weight,bias}`` (torchvision's names) with ``mean``
        and ``std`` (three numbers each, for grey levels in [0, 1]), the original Oxford weights without the
        latter, or torchvision's ``vgg16-397923af.pth``. Default: the cache, filled by a download (528 MB) the
        first time.

    Raises
    ------
    IsotoneError
        E_WEIGHTS: no such file, no download, or weights whose input scaling is not known.
    ModelError
        E_MODEL: a damaged file, or one of another network.
    """
    network = VGG16Features()
    if path is None:
        load_weights(network, _cached())
    else:
        load_strictly(network, _read(Path(path)), path)
    return network.eval().requires_grad_(False)


def cache_folder() -> Path:
    """Where downloaded weights are kept: ``$XDG_CACHE_HOME/isotone``, ``~/.cache/isotone`` by default."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isotone"


def _cached() -> Path:
    """The cached weights, downloaded where they are not there yet."""
    try:
        target = cache_folder() / "vgg16_conv2_2.safetensors"
        if target.exists():
            return target
        archive = cache_folder() / "vgg16-397923af.pth"
        archive.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(TORCHVISION_URL, str(archive), hash_prefix=TORCHVISION_SHA256)
    except (OSError, RuntimeError) as error:  # URLError is an OSError; a wrong checksum, or no home, a RuntimeError
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise IsotoneError(
            "E_WEIGHTS",
            f"the VGG-16 weights cannot be downloaded ({reason})",
            next_step=f"Fetch {TORCHVISION_URL} elsewhere and give it as perceptual_weights=, or fit with "
            'perceptual="classifier".',
        ) from error
    network = VGG16Features()
    load_strictly(network, _read(archive), archive)
    save_weights(network, target)
    archive.unlink()
    return target


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a `VGG16Features`, from any of the files that `load_vgg16` names."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise IsotoneError("E_WEIGHTS", f"the weights cannot be read: {error.strerror or error}", file=path) from error
    if digest == TORCHVISION_SHA256:
        full: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return {name: full[name] for name in _LAYERS} | _scaling(IMAGENET)
    try:
        tensors = read_tensors(path)
    except ModelError as error:
        raise IsotoneError("E_WEIGHTS", error.what, file=path) from error
    if digest == OXFORD_SHA256:
        return tensors | _scaling(OXFORD)
    if "mean" not in tensors or "std" not in tensors:
        raise IsotoneError(
            "E_WEIGHTS",
            "the file does not say how its network wants its input scaled",
            file=path,
            next_step='Add tensors mean and std of three numbers, or use perceptual="classifier".',
        )
    return tensors


_LAYERS = tuple(f"features.{i}.{part}" for i in (0, 2, 5, 7) for part in ("weight", "bias"))


def _scaling(scaling: tuple[tuple[float, ...], tuple[float, ...]]) -> dict[str, Tensor]:
    return {"mean": torch.tensor(scaling[0]), "std": torch.tensor(scaling[1])}
