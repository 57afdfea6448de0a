"""The state of a run after an epoch, in one safetensors file whose metadata are JSON; nothing is unpickled.

Weights, optimizer and rows are the whole state (see `isotone.networks.training.loop`), so on a CPU a run that goes on
from it ends with the same bits as one that was never interrupted.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel
from safetensors import SafetensorError
from torch import Tensor, nn

from isotone._runtime.files import replace_file
from isotone.networks.training.task import Labelled

Weights = dict[str, Tensor]


class Checkpoint:
    """Keeps the state of a run in a file.

    Parameters
    ----------
    path : Path or None
        None: nothing is kept, and nothing found.
    identity : str
        What the run depends on (`fingerprint`): the state of another run is not taken up.
    module, optimizer, scaler
        What learns, how, and the loss scaling of mixed precision where there is one; `load` fills them.
    """

    def __init__(
        self,
        path: Path | None,
        identity: str,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler | None,
    ) -> None:
        self.path, self.identity = path, identity
        self.module, self.optimizer, self.scaler = module, optimizer, scaler

    def save(self, rows: list[dict[str, float]], best: Weights) -> None:
        """Replace the file by the present state; `best` are the weights of the best of the `rows`."""
        if self.path is None:
            return
        state = self.optimizer.state_dict()
        parts: dict[str, Any] = {"module": self.module.state_dict(), "best": best}
        parts |= {f"optimizer {number}": values for number, values in state["state"].items()}
        # Clones: safetensors refuses tensors that share memory.
        tensors = {
            f"{part}/{name}": value.detach().cpu().contiguous().clone()
            for part, values in parts.items()
            for name, value in values.items()
        }
        notes = {"identity": self.identity, "rows": rows, "param_groups": state["param_groups"]}
        if self.scaler is not None:
            notes["scaler"] = self.scaler.state_dict()
        data = safetensors.torch.save(tensors, {"run": json.dumps(notes)})
        with replace_file(self.path) as temporary:
            temporary.write_bytes(data)

    def load(self) -> tuple[list[dict[str, float]], Weights]:
        """Fill module and optimizer from the file, and return what `save` was given; nothing where there is none.

        A damaged file, or one of another run, is passed over with a warning.
        """
        if self.path is None or not self.path.exists():
            return [], {}
        try:
            with safetensors.safe_open(self.path, framework="pt") as file:
                notes = json.loads(file.metadata()["run"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            same = notes["identity"] == self.identity
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            same = False
        if not same:
            warnings.warn(f"{self.path}: not this run's checkpoint; training starts anew", stacklevel=3)
            return [], {}
        parts: dict[str, dict[str, Tensor]] = {"module": {}, "best": {}}
        for name, value in tensors.items():
            part, _, rest = name.partition("/")
            parts.setdefault(part, {})[rest] = value
        best = parts.pop("best")
        self.module.load_state_dict(parts.pop("module"))
        state = {int(part.removeprefix("optimizer ")): values for part, values in parts.items()}
        self.optimizer.load_state_dict({"state": state, "param_groups": notes["param_groups"]})
        if self.scaler is not None:
            self.scaler.load_state_dict(notes["scaler"])
        return notes["rows"], best


def fingerprint(*parts: Any) -> str:
    """SHA-256, hexadecimal, of what a run depends on: networks, images, settings, anything that JSON holds."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, nn.Module):
            for name, value in part.state_dict().items():
                digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
                digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        elif isinstance(part, Labelled):
            digest.update(json.dumps(part.names).encode())
            for image in part.images:
                digest.update(np.ascontiguousarray(image).data)
        else:
            text = part.model_dump_json() if isinstance(part, BaseModel) else json.dumps(part)
            digest.update(text.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
