"""A network by its name: one of ours, or the user's own ``module:function``."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Collection
from pathlib import Path

from torch import nn

from isotone.errors import ModelError
from isotone.networks.resnet import ResNet50, paper_head
from isotone.networks.small import SmallNet

BACKBONES = ("resnet50", "resnet50-keras", "small")
"""The names of our own networks."""


def build(backbone: str, num_classes: int, dropout: float = 0.5) -> nn.Module:
    """An untrained network.

    Parameters
    ----------
    backbone : str
        A name of `BACKBONES`, or ``module:function``: a function without arguments (or a class) of an
        importable module that returns a `torch.nn.Module`. That module is imported, and so runs: name only
        code you trust.
    num_classes, dropout
        Of the head; a user's own network has its own.

    Raises
    ------
    ModelError
        E_MODEL: no such network.
    """
    match backbone:
        case "resnet50":
            return ResNet50(paper_head(num_classes, dropout))
        case "resnet50-keras":
            return ResNet50(paper_head(num_classes, dropout), keras=True)
        case "small":
            return SmallNet(num_classes, dropout)
        case _:
            return _users_own(backbone)


def refuse_code(backbone: str, allowed: str | Collection[str], file: Path) -> None:
    """Go on with a network of the user's own only where it was named.

    Raises
    ------
    ModelError
        E_MODEL: it is not among the `allowed` names.
    """
    if ":" in backbone and backbone not in ([allowed] if isinstance(allowed, str) else allowed):
        raise ModelError(
            "E_MODEL",
            f"this classifier runs code of its own, {backbone!r}, which was not allowed",
            file=file,
            next_step=f'If you trust it, give allow_code="{backbone}".',
        )


def _users_own(backbone: str) -> nn.Module:
    module_name, _, function_name = backbone.partition(":")
    # A folder from elsewhere must not reach os.abort and the like; a network never lives in the standard
    # library.
    if not function_name or module_name.partition(".")[0] in sys.stdlib_module_names:
        known = ", ".join(BACKBONES)
        raise ModelError("E_MODEL", f"{backbone!r} names no network; known: {known}, or module:function")
    try:
        function = getattr(importlib.import_module(module_name), function_name)
        if not (inspect.isfunction(function) or inspect.isclass(function)):
            raise TypeError("not a function")
        network = function()
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        raise ModelError(
            "E_MODEL",
            f"the network {backbone!r} cannot be built ({type(error).__name__}: {error})",
            next_step="Correct it, install its package, or put its folder on PYTHONPATH.",
        ) from error
    if not isinstance(network, nn.Module):
        raise ModelError("E_MODEL", f"{backbone!r} returns no torch.nn.Module")
    return network
