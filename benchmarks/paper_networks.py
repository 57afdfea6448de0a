"""The paper's networks without the package's file formats: torch, numpy and scipy are enough."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn

from isotone.data.phantom.anatomy import CLASSES
from isotone.networks.gdce import GDCE
from isotone.networks.losses import Features, total_loss
from isotone.networks.resnet import ResNet50, paper_head
from isotone.networks.training.precision import Precision, Steps
from isotone.networks.training.task import losses
from isotone.networks.vgg import OXFORD, VGG16Features

RATE, WEIGHT = 1e-4, 0.95
"""Learning rate of Adam, and λ of the weighted loss (METHOD of the paper)."""
Batch = tuple[Tensor, Tensor]
"""Images (n, 1, S, S) and class numbers (n,)."""


class Frozen:
    """A classifier as `isotone.networks.training.task` asks for it: logits of grey levels in [0, 1], unscaled."""

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self.module = module.eval().requires_grad_(False).to(device)
        self.device = device
        self.config = SimpleNamespace(classes=CLASSES)

    def logits(self, images: Tensor) -> Tensor:
        """Logits of shape (n, C), float32 or float64, for images of shape (n, 1, S, S)."""
        given: Tensor = self.module(images.expand(-1, 3, -1, -1))
        return given if given.dtype == torch.float64 else given.float()


class GDCETraining:
    """The paper's network and one step of its training by the shipped loss, in full or mixed precision.

    Parameters
    ----------
    classifier : Frozen
    features : callable
        Perceptual network.
    precision : "mixed" or "float32"
    seed : int
        Of the start.
    """

    def __init__(self, classifier: Frozen, features: Features, precision: Precision, seed: int) -> None:
        torch.manual_seed(seed)
        self.network = GDCE().to(classifier.device)
        self.classifier, self.features = classifier, features
        self.steps = Steps(torch.optim.Adam(self.network.parameters(), RATE), classifier.device, precision)

    def __call__(self, source: Batch, reference: Batch) -> Tensor:
        """One step; the perceptual and the task loss before it, shape (2,)."""
        self.network.train()
        with self.steps.autocast():
            parts = losses(self.network, cast(Any, self.classifier), self.features, source, reference)
            loss = total_loss(*parts, weight=WEIGHT)
        self.steps(loss)
        return torch.stack([part.detach().float() for part in parts])


def resnet50() -> ResNet50:
    """The paper's classifier, untrained."""
    return ResNet50(paper_head(len(CLASSES)))


def vgg16(path: Path | None) -> VGG16Features:
    """VGG-16 up to conv2_2, frozen: with the original Oxford weights of a safetensors file, or untrained."""
    network = VGG16Features()
    if path is None:
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    else:
        mean, std = (torch.tensor(each) for each in OXFORD)
        network.load_state_dict(read_safetensors(path) | {"mean": mean, "std": std})
    return network.eval().requires_grad_(False)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The float32 tensors of a file: eight bytes of length, JSON, numbers (the library is not on every GPU machine)."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    found = {}
    for name, entry in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        assert entry["dtype"] == "F32", f"{path} holds {entry['dtype']}"
        first, last = entry["data_offsets"]
        numbers = np.frombuffer(data[start + first : start + last], np.float32)
        found[name] = torch.from_numpy(numbers.reshape(entry["shape"]).copy())
    return found


def macro_auc(numbers: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    """Macro one-versus-rest AUC; classes that are absent count for nothing."""
    areas = []
    for k in np.unique(numbers):
        positive = numbers == k
        up, n = int(positive.sum()), len(numbers)
        if up < n:
            areas.append((rankdata(scores[:, k])[positive].sum() - up * (up + 1) / 2) / (up * (n - up)))
    return float(np.mean(areas))


def seconds_of(step: Callable[[], object], device: torch.device, repeats: int, warm_up: int = 3) -> float:
    """Median seconds of a step."""
    taken: list[float] = []
    for number in range(warm_up + repeats):
        synchronize(device)
        began = time.perf_counter()
        step()
        synchronize(device)
        if number >= warm_up:
            taken.append(time.perf_counter() - began)
    return float(np.median(taken))


def synchronize(device: torch.device) -> None:
    """Wait for a GPU; a CPU is always done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def name_of(device: torch.device) -> str:
    """The device as its driver calls it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def say(**facts: object) -> None:
    """One line of JSON, at once: what a run that is cut has printed stays."""
    print(json.dumps({name: _plain(value) for name, value in facts.items()}), flush=True)


def _plain(value: object) -> object:
    if isinstance(value, float | np.floating):
        return float(f"{float(value):.4g}")
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value
