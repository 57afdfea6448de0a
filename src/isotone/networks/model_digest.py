"""By which a network is known: its weights, its structure, its code and what is said of it."""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from isotone.networks.config import ClassifierConfig

PLAIN = (int, float, str, bool, tuple, list, type(None), torch.Size, torch.dtype, torch.device)
"""Types of a layer's settings whose `repr` says all of them."""
COMPILED = ("torch.jit", "torch.fx", "torch._dynamo", "torch.export")
"""Whose networks hold code that no file has."""


def model_digest(module: nn.Module, config: ClassifierConfig, device: torch.device) -> str | None:
    """SHA-256, hexadecimal: networks of equal digests give equal outputs on one machine.

    Parameters
    ----------
    module : nn.Module
    config : ClassifierConfig
    device : torch.device

    Returns
    -------
    str or None
        None where the network holds something of which that is not known: compiled code, or an object as a setting.
    """
    found = hashlib.sha256(f"{config.model_dump_json()} {device} {module}".encode())
    for name, layer in module.named_modules():
        kind = type(layer)
        if kind.__module__.startswith(COMPILED):
            return None
        found.update(f"{name} {kind.__module__}.{kind.__qualname__} {_code(kind.__module__)}".encode())
        for setting, value in sorted(vars(layer).items()):
            if setting in _USUAL:
                continue
            if not isinstance(value, (*PLAIN, Tensor)):
                return None
            found.update(_bytes(value) if isinstance(value, Tensor) else f"{setting}={value!r}".encode())
    for name, tensor in module.state_dict().items():
        if not isinstance(tensor, Tensor):
            return None
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + _bytes(tensor))
    return found.hexdigest()


_USUAL = frozenset(vars(nn.Module()))
"""What every module has: hooks, and parameters and layers, which are looked at by themselves."""


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@cache
def _code(module: str) -> str:
    """SHA-256 of the code of a module's package; of torch and isotone themselves the version says enough."""
    root = module.partition(".")[0]
    if root in ("torch", "isotone"):
        return torch.__version__
    top = sys.modules[root]
    folders = [Path(folder) for folder in getattr(top, "__path__", [])]
    alone = getattr(top, "__file__", None)
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))] or ([Path(alone)] if alone else [])
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()
