"""One step of an optimizer, in full or in mixed precision."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Precision = Literal["float32", "mixed"]


class Steps:
    """Takes steps of an optimizer.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    device : torch.device
    precision : {"float32", "mixed"}
        "mixed": bfloat16 where it loses nothing (`torch.autocast`'s choice); float16, and losses scaled so that
        small gradients do not vanish, on a GPU that lacks bfloat16. Weights stay float32.

    Attributes
    ----------
    scaler : torch.amp.GradScaler
        Disabled, and the identity, but for float16.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, device: torch.device, precision: Precision = "float32"
    ) -> None:
        self.optimizer, self.device, self.mixed = optimizer, device, precision == "mixed"
        half = device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)
        self.dtype = torch.float16 if half else torch.bfloat16
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.mixed and half)

    def autocast(self) -> torch.autocast:
        """Context of the forward pass and the loss."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.mixed)

    def __call__(self, loss: Tensor) -> None:
        """Backward pass and step."""
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
