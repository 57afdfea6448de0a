"""The paper's network in the place of a scanner's one curve: each image gets a curve of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch

from isotone.curves.tone_curve import ToneCurve
from isotone.errors import ModelError
from isotone.imaging.radiograph import Radiograph
from isotone.networks.gdce import GDCE, gdce_curve
from isotone.networks.weights import load_weights, save_weights


class GDCEMapper:
    """Curves from a `GDCE` network.

    Parameters
    ----------
    network : GDCE
        In evaluation mode.
    """

    def __init__(self, network: GDCE) -> None:
        self.network = network.eval()
        # In place. Two thirds of the time on a CPU, for the same coefficients up to rounding.
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def input_size(self) -> int:
        """Side in pixels of what the network sees; a larger image may be read reduced."""
        return self.network.input_size

    def curve(self, radiograph: Radiograph) -> ToneCurve:
        """The curve that the network gives this image."""
        return gdce_curve(self.network, radiograph)

    def save(self, folder: Path, stem: str) -> dict[str, Any]:
        """Write the weights as ``<stem>.safetensors``, and return what rebuilds the network."""
        name = f"{stem}.safetensors"
        return {
            "network": name,
            "sha256": save_weights(self.network, folder / name),
            "num_layers": self.network.num_layers,
            "num_iterations": self.network.num_iterations,
            "input_size": self.network.input_size,
        }

    @classmethod
    def load(cls, folder: Path, entry: Mapping[str, Any]) -> Self:
        """The mapper that `save` described.

        Raises
        ------
        ModelError
            The weights are missing, altered or of another network.
        """
        name = str(entry["network"])
        if Path(name).name != name:
            raise ModelError("E_MODEL", "the weights lie outside the folder", file=folder)
        network = GDCE(entry["num_layers"], entry["num_iterations"], entry["input_size"])
        load_weights(network, folder / name, entry["sha256"])
        return cls(network)
