"""What a curve cannot do and a pixel-wise enhancer can: turn a classifier by changes that nobody sees (paper, §3.2).

Images of the reference need no harmonizing. Two networks learn, by the classifier's loss alone and with the same
schedule, to have those of the other classes called by one class, without changing any pixel by more than a few grey
levels in a hundred: GDCE, whose change is a curve for each image, and a U-Net, whose change is a pattern. What they
make of images that they have not seen is what they could also do unasked. Chests of NIH (sex, hardly in the grey
levels) and the phantom (density, which is).

    python -m benchmarks.patterns      # twenty minutes on one core; uses the classifiers of responses.py
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.responses import HERE, Bench, samples, set_up
from isotone._runtime.run_options import RunOptions
from isotone.networks.enhancer import PixelEnhancer
from isotone.networks.gdce import GDCE
from isotone.networks.prepare import Prepare
from isotone.networks.training.fit_gdce import GDCESettings, fit_by_task
from isotone.networks.training.loop import seeded

SETTINGS = GDCESettings.quick(loss="sum", perceptual="none", epochs=15, learning_rate=1e-3, batch_size=8)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "a curve per image (GDCE)": lambda: GDCE(SETTINGS.num_layers, SETTINGS.num_iterations, SETTINGS.input_size),
    "pixel-wise enhancer": PixelEnhancer,
}
ALLOWED = (0.02, 0.05)


class Within(nn.Module):
    """A network whose change of any pixel stays below a limit; a curve's change is still a function of grey level."""

    def __init__(self, network: nn.Module, limit: float) -> None:
        super().__init__()
        self.network, self.limit = network, limit

    def forward(self, images: Tensor) -> Tensor:
        change = self.limit * torch.tanh((self.network(images) - images) / self.limit)
        return (images + change).clamp(0, 1)


def turned(bench: Bench, target: str, limit: float, make: Callable[[], nn.Module]) -> tuple[float, float]:
    """Share of unseen images of other classes that are called by the target: before, and through the network."""
    classes = list(bench.classifier.config.classes)
    others = [s for s in bench.reference.given if s.label != target]
    renamed = [replace(s, label=target) for s in others]
    fitted = [s for s in renamed if s.split == "train"]
    held = [s for s in renamed if s.split != "train"]
    test = samples(bench.world.tests["test"], "none", Prepare(bench.classifier.config.image_size), "test")
    images = np.stack([np.asarray(s.prepared) for s in test if s.label != target])
    with seeded(0, 0):
        network = Within(make(), limit)
    fit_by_task(network, (fitted, fitted, held), bench.classifier, SETTINGS, run=RunOptions(quiet=True))
    with torch.no_grad():
        mapped = torch.cat([network.eval()(part) for part in torch.from_numpy(images)[:, None].split(64)])[:, 0].numpy()
    said = (bench.classifier.predict(each).argmax(1) == classes.index(target) for each in (images, mapped))
    before, after = (float(np.mean(each)) for each in said)
    return before, after


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    print(
        "| anatomy | largest change | through | called by the target before | after | target by target |\n"
        + "|---" * 6
        + "|"
    )
    for anatomy in ("nih", "phantom"):
        bench = set_up(anatomy, 0, HERE / "out" / "responses", 1.0)
        for limit in ALLOWED:
            for name, make in NETWORKS.items():
                shares = np.array([turned(bench, c, limit, make) for c in bench.classifier.config.classes])
                before, after = shares.mean(0)
                each = ", ".join(f"{share:.2f}" for share in shares[:, 1])
                print(f"| {anatomy} | {limit} | {name} | {before:.2f} | {after:.2f} | {each} |", flush=True)


if __name__ == "__main__":
    main()
