"""One pass through a network that somebody else wrote: logits, or one line that says what to change."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from isotone.errors import ModelError

SMALLEST = 1e-12
"""Probability below which none is taken: the logarithm of 0 is not finite."""
PLAIN = "Wrap it in a module that takes float32 (n, channels, S, S) and returns the logits alone, float32 (n, classes)."


def logits_of(module: nn.Module, images: Tensor, classes: int, output: str) -> Tensor:
    """Logits of shape (n, classes); differentiable.

    Parameters
    ----------
    module : nn.Module
    images : Tensor
        float32 of shape (n, channels, S, S).
    classes : int
        Of two classes, the network may give one number per image: the logit, or the probability, of the second one.
    output : "logits" or "probabilities"
        What the network returns.

    Raises
    ------
    ModelError
        E_MODEL: the network fails, or returns something else.
    """
    given = _called(module, images)
    if not isinstance(given, Tensor):
        raise ModelError("E_MODEL", f"the network returns {type(given).__name__}, not a tensor", next_step=PLAIN)
    if not given.is_floating_point():
        what = f"the network returns {str(given.dtype).removeprefix('torch.')}, not floating-point scores"
        raise ModelError("E_MODEL", what, next_step=PLAIN)
    if given.layout != torch.strided or given.device != images.device:
        where = f"a {given.layout} tensor on {given.device}".replace("torch.", "")
        raise ModelError("E_MODEL", f"the network returns {where}, not a plain one on {images.device}", next_step=PLAIN)
    given, n = given.float(), len(images)
    if classes == 1 and given.numel() == n:
        given = given.reshape(n, 1)
    single = classes == 2 and given.numel() == n and given.ndim <= 2
    if not single and given.shape != (n, classes):
        raise _wrong_shape(tuple(given.shape), n, classes)
    if output == "probabilities":
        given = given.clamp(SMALLEST, 1).log() if not single else given.reshape(n).clamp(SMALLEST, 1 - 1e-7).logit()
    if single:
        given = given.reshape(n)
        given = torch.stack([torch.zeros_like(given), given], 1)
    return given


def _called(module: nn.Module, images: Tensor) -> object:
    try:
        return module(images)
    except (MemoryError, torch.OutOfMemoryError) as error:
        what = f"not enough memory for the network on images of shape {tuple(images.shape)}"
        raise ModelError("E_MODEL", what, next_step="Use another device=, or a smaller network.") from error
    except (Exception, SystemExit) as error:  # a user's own code may raise anything
        what = f"the network fails on float32 images of shape {tuple(images.shape)} ({said(error)})"
        raise ModelError("E_MODEL", what, next_step=_advice(module, images, str(error))) from error


def said(error: BaseException) -> str:
    """An exception of somebody else's code in one short line."""
    line = next((part for part in str(error).splitlines() if part.strip()), "")
    return f"{type(error).__name__}: {line[:160]}" if line else type(error).__name__


def _advice(module: nn.Module, images: Tensor, message: str) -> str:
    """What to change, by the most likely cause."""
    tensors = [*module.parameters(), *module.buffers()]
    others = {
        str(t.dtype).removeprefix("torch.") for t in tensors if t.is_floating_point() and t.dtype != torch.float32
    }
    if others:
        return f"Its weights are {' and '.join(sorted(others))}: call .float() on it, and leave out .half() inside."
    if "cuda" in message.lower() or "same device" in message or "Expected all tensors" in message:
        return f"Images are on {images.device}: leave .cuda() and .to(device) out of the network's code."
    if "channels" in message:
        return f"Give the number of channels that it takes; channels is {images.shape[1]}."
    if "dtype" in message or "same type" in message or "scalar type" in message or "Half" in message:
        return "It must compute in float32: leave .half() and .to(dtype) out of the network's code."
    return f"Give the image_size and channels that it was made for, or change it. {PLAIN}"


def _wrong_shape(given: tuple[int, ...], n: int, classes: int) -> ModelError:
    what = f"the network gives shape {given}, not {(n, classes)}"
    if len(given) == 2 and given[0] == n:
        return ModelError("E_MODEL", what, next_step=f"Name {given[1]} classes, or change its last layer to {classes}.")
    return ModelError("E_MODEL", what, next_step=PLAIN)
