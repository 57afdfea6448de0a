"""Is a network fit to be a classifier here? A few passes on made-up images tell, before the first real one is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from isotone.errors import ModelError

if TYPE_CHECKING:
    from isotone.networks.classifier import Classifier
    from isotone.networks.config import ClassifierConfig

REPEAT = 1e-4
"""By how much two passes of the same images may differ, as a share of the largest logit: rounding on a GPU gives 1e-6.
If it is raised, random layers that change little are let through."""
ALONE = 1e-3
"""The same between an image alone and in a batch, for which libraries use other kernels: a ResNet-50 gives 1e-5."""

SQUASHING = {f"aten::{name}" for name in ("sigmoid", "special_expit", "hardsigmoid", "softmax", "_softmax")}
"""Operations whose results are probabilities. Logits may lie in [0, 1] as well, those of an untrained network."""
MOVES = {f"aten::{name}" for name in ("cat", "stack", "clone", "_to_copy", "detach", "contiguous", "index_select")}
"""Operations that change no number, beside views."""


def probe(classifier: Classifier) -> None:
    """Two passes of the same images, one of them in another order, and one of each image alone.

    Raises
    ------
    ModelError
        E_MODEL: the network fails, gives another shape or NaN, gives probabilities where logits are declared or the
        other way round, is random (dropout in use), or says something else of an image in another batch (batch
        statistics in use).
    """
    images = torch.from_numpy(_images(classifier.config.image_size)).to(classifier.device)
    observed = _Observed(classifier.module)
    # cuDNN's convolutions in TF32 would differ by 1e-3.
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=False):
        drawn = _generator_state(images)
        first = type(classifier)(observed, classifier.config, device=classifier.device).logits(images)
        random = not torch.equal(drawn, _generator_state(images))
        again, turned = classifier.logits(images), classifier.logits(images.flip(0)).flip(0)
        try:
            alone = torch.cat([classifier.logits(image[None]) for image in images])
        except ModelError as error:
            raise _depends_on_batch(classifier.module) from error
    if not torch.isfinite(first).all():
        raise ModelError(
            "E_MODEL",
            "the network gives scores that are not finite for grey levels in [0, 1]",
            next_step="Check its weights, and mean and std.",
        )
    _refuse_wrong_output(observed.returned, observed.operation in SQUASHING, classifier.config)
    scale = max(float(first.abs().max()), 1e-3)
    if random or not _close(first, again, REPEAT * scale):
        what = f"a layer that is random or that changes is in use{_in_training(classifier.module)}"
        raise ModelError(
            "E_MODEL",
            f"two passes of the same images differ: {what}",
            next_step="Call F.dropout(x, training=self.training), and leave .train() out of the network's code.",
        )
    if not (_close(first, alone, ALONE * scale) and _close(first, turned, ALONE * scale)):
        raise _depends_on_batch(classifier.module)


def _images(size: int) -> np.ndarray:
    """Made-up images of shape (3, 1, size, size) in [0, 1]: a disc on black, noise, and a ramp."""
    y, x = np.mgrid[:size, :size] / size
    noise = np.random.default_rng(0).random((size, size))
    disc = np.where((x - 0.3) ** 2 + (y - 0.5) ** 2 < 0.15, 0.4 + 0.3 * noise, 0.02)
    ramp = (x + y) / 2
    return np.stack([disc, noise, ramp])[:, None].astype(np.float32)


def _generator_state(images: Tensor) -> Tensor:
    """Changes with every random number that torch draws, however little it does to the result."""
    return torch.cuda.get_rng_state(images.device) if images.is_cuda else torch.get_rng_state()


def _close(ours: Tensor, theirs: Tensor, tolerance: float) -> bool:
    return float((ours.double() - theirs.double()).abs().max()) <= tolerance


def _refuse_wrong_output(raw: Tensor, squashed: bool, config: ClassifierConfig) -> None:
    """Compare what the network returns with what is declared."""
    raw, output = raw.double(), config.output
    unit = bool(((raw >= 0) & (raw <= 1)).all())
    if not config.exclusive:
        _refuse_wrong_scores(unit, squashed, output)
        return
    sums = bool(((raw.sum(-1) - 1).abs() < 1e-3).all()) and raw.ndim == 2 and raw.shape[1] > 1
    if output == "probabilities" and not (unit and (sums or raw.ndim < 2 or raw.shape[1] == 1)):
        what = "the network's output is declared as probabilities, but its rows are not in [0, 1] with the sum 1"
        raise ModelError("E_MODEL", what, next_step='Leave out output="probabilities" if it returns logits.')
    if output == "logits" and unit and (sums or squashed):
        several = raw.ndim == 2 and raw.shape[1] > 1 and not sums
        raise ModelError(
            "E_MODEL",
            "the network returns probabilities, not logits",
            next_step="Take the sigmoid off, or give exclusive=False where each output is a finding of its own."
            if several
            else 'Give output="probabilities", or take the last softmax or sigmoid off.',
        )


def _refuse_wrong_scores(unit: bool, squashed: bool, output: str) -> None:
    """The same for outputs that do not exclude each other: their sum says nothing."""
    if output == "probabilities" and not unit:
        what = "the network's output is declared as probabilities, but is not in [0, 1]"
        raise ModelError("E_MODEL", what, next_step='Leave out output="probabilities" if it returns logits.')
    if output == "logits" and unit and squashed:
        what = "the network returns probabilities, not logits"
        raise ModelError("E_MODEL", what, next_step='Give output="probabilities", or take the last sigmoid off.')


class _LastOperation(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within: the name of the last operation that computed something, such as ``aten::sigmoid``."""

    name = ""

    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.name().split(".")[0].rstrip("_")
        if not func.is_view and name not in MOVES:
            self.name = name
        return func(*args, **(kwargs or {}))


class _Observed(nn.Module):
    """A network that keeps what it returned, and the name of the operation that computed that."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.returned = torch.empty(0)
        self.operation = ""

    def forward(self, images: Tensor) -> Tensor:
        with _LastOperation() as last:  # type: ignore[no-untyped-call]
            self.returned = self.network(images)
        self.operation = last.name
        return self.returned


def _in_training(module: nn.Module) -> str:
    """The first layer that the forward pass itself set to training."""
    names = [name or type(m).__name__ for name, m in module.named_modules() if m.training]
    return f" ({names[0]} is set to training)" if names else " (functional dropout, for example)"


def _depends_on_batch(module: nn.Module) -> ModelError:
    kinds = nn.modules.batchnorm._BatchNorm
    names = [n for n, m in module.named_modules() if isinstance(m, kinds) and (m.training or m.running_mean is None)]
    which = f" ({names[0]})" if names else ""
    return ModelError(
        "E_MODEL",
        f"the network's result for an image depends on the others of its batch: batch statistics are in use{which}",
        next_step="Use running statistics (track_running_stats=True, F.batch_norm(…, training=self.training)), and "
        "take one image as well as several.",
    )
