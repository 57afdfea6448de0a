"""Weights as safetensors files with a checksum; nothing is unpickled."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from isotone._runtime.files import replace_file
from isotone.errors import ModelError


def save_weights(module: nn.Module, path: str | Path) -> str:
    """Write the weights and buffers of a network; the same values make the same bytes.

    Returns
    -------
    str
        SHA-256 of the file, hexadecimal.
    """
    import safetensors.torch

    # Clones: safetensors refuses tensors that share memory.
    state = {name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}
    data = safetensors.torch.save(state)
    with replace_file(path) as temporary:
        temporary.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def read_tensors(path: str | Path, sha256: str | None = None) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises
    ------
    ModelError
        E_MODEL: unreadable, another checksum than `sha256`, not safetensors, or a number that is not finite.
    """
    import safetensors.torch

    try:
        data = _regular(Path(path)).read_bytes()
    except OSError as error:
        raise ModelError("E_MODEL", f"the weights cannot be read: {error.strerror or error}", file=path) from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise ModelError("E_MODEL", "the weights are not those that were saved (checksum)", file=path)
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ModelError("E_MODEL", "the weights are not a safetensors file", file=path) from error
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ModelError("E_MODEL", f"the weights {name!r} are not all finite", file=path)
    return tensors


def _regular(path: Path) -> Path:
    if path.exists() and not path.is_file():  # reading a pipe would wait for ever
        raise OSError("not a regular file")
    return path


def load_strictly(module: nn.Module, tensors: dict[str, Tensor], file: str | Path) -> None:
    """Fill a network with tensors: every name and every shape must agree.

    Raises
    ------
    ModelError
        E_MODEL: they do not; `file` is named as their origin.
    """
    try:
        module.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        ours, theirs = module.state_dict(), tensors
        differ = [
            name
            for name in sorted(ours.keys() | theirs.keys())
            if name not in ours or name not in theirs or ours[name].shape != theirs[name].shape
        ]
        what = f"the weights fit another network: {len(differ)} tensors differ, {differ[:1]} first"
        raise ModelError("E_MODEL", what, file=file) from error


def load_weights(module: nn.Module, path: str | Path, sha256: str | None = None) -> None:
    """Fill a network from a file that `save_weights` wrote.

    Raises
    ------
    ModelError
        E_MODEL, as `read_tensors` and `load_strictly` say.
    """
    load_strictly(module, read_tensors(path, sha256), path)
