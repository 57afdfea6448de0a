"""Pretrained ResNet-50 files: torchvision's, and the three in which RadImageNet circulates.

Each is recognised from its names, renamed to torchvision's, loaded strictly, and brings its own input
scaling. RadImageNet: Mei et al., Radiology: Artificial Intelligence 4(5), e210315 (2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from isotone.errors import IsotoneError
from isotone.networks.weights import load_strictly, read_tensors

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
UNIT = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# Keras' "caffe" preprocessing (BGR, 0..255, minus the mean) followed by rescale=1/255, as RadImageNet was
# trained.
KERAS = ((103.939 / 255, 116.779 / 255, 123.68 / 255), (1.0, 1.0, 1.0))

OFFICIAL = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""Children of the official file's `backbone` and torchvision's names for them."""


@dataclass(frozen=True)
class Pretrained:
    """A ResNet-50 without its head.

    Attributes
    ----------
    origin : str
        "radimagenet-official", "radimagenet-keras" or "imagenet-scaled" (torchvision's files and the 165-way
        RadImageNet checkpoint).
    backbone : str
        The name that `isotone.networks.backbones.build` knows.
    mean, std : tuple of 3 floats
        The network wants ``(x − mean) / std`` of grey levels x in [0, 1], per channel.
    tensors : dict
        By torchvision's names, without ``fc``.
    """

    origin: str
    backbone: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    tensors: dict[str, Tensor]


def read_pretrained(path: str | Path) -> Pretrained:
    """Read ``*.safetensors``, or a checkpoint of torch without running any code in it (`weights_only`).

    Raises
    ------
    IsotoneError
        E_WEIGHTS: not readable, or none of the known formats; E_MODEL: not safetensors, or not finite.
    """
    source = Path(path)
    loaded = read_tensors(source) if source.suffix == ".safetensors" else _read_checkpoint(source)
    inner = loaded.get("model")
    named = inner if isinstance(inner, Mapping) else loaded
    state: dict[str, Tensor] = {
        str(name).removeprefix("_orig_mod."): value for name, value in named.items() if isinstance(value, Tensor)
    }
    if "backbone.0.weight" in state:
        return Pretrained("radimagenet-official", "resnet50", *UNIT, _rename_official(state))
    state = {name: value for name, value in state.items() if not name.startswith("fc.")}
    if "conv1.bias" in state:
        return Pretrained("radimagenet-keras", "resnet50-keras", *KERAS, state)
    if "layer4.2.conv3.weight" in state:
        return Pretrained("imagenet-scaled", "resnet50", *IMAGENET, state)
    raise IsotoneError("E_WEIGHTS", "these are no weights of a ResNet-50 in a known format", file=path)


def load_pretrained(network: nn.Module, pretrained: Pretrained, file: str | Path) -> None:
    """Put pretrained weights into a `ResNet50` of the same variant; its head stays as it is.

    Raises
    ------
    ModelError
        E_MODEL: a name or a shape does not agree.
    """
    head = {name: value for name, value in network.state_dict().items() if name.startswith("fc.")}
    load_strictly(network, pretrained.tensors | head, file)


def _read_checkpoint(path: Path) -> Mapping[str, Any]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise IsotoneError("E_WEIGHTS", f"the weights cannot be read: {error.strerror or error}", file=path) from error
    except Exception as error:  # torch raises several kinds, one of them from a module that we do not import
        raise IsotoneError("E_WEIGHTS", "not a file of weights, or more than weights", file=path) from error
    if not isinstance(loaded, Mapping):
        raise IsotoneError("E_WEIGHTS", "the file holds no named tensors", file=path)
    return loaded


def _rename_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, value in state.items():
        _, child, *rest = name.split(".")
        renamed[".".join([OFFICIAL.get(child, child), *rest])] = value
    return renamed
