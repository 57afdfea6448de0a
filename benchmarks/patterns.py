"""What a curve cannot do and a pixel-wise enhancer can: make a frozen classifier say what is not there.

Both networks learn by the classifier's loss alone that every image is of the next class: a lie. What they can be made
to lie on images that they have not seen is what they could also do unasked. Chests of NIH (sex, which is hardly in the
grey levels) and the phantom (density, which is), behind the response "log".

    python benchmarks/patterns.py      # a few minutes on one core; uses the classifiers of responses.py
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from isotone.data.sample import Sample
from isotone.models.classifier import Classifier
from isotone.models.prepare import Prepare
from isotone.training.fit_gdce import GDCESettings, fit_enhancer, fit_gdce
from responses import HERE, samples, set_up

SETTINGS = GDCESettings.quick(perceptual="none", epochs=40, learning_rate=1e-3, batch_size=8)
RESPONSE = "log"


def shares(classifier: Classifier, network: torch.nn.Module | None, images: np.ndarray, true: np.ndarray) -> str:
    """Of the images, how many are called by their class, and how many by the next one."""
    with torch.no_grad():
        seen = torch.from_numpy(images)[:, None]
        mapped = seen if network is None else torch.cat([network(part) for part in seen.split(64)])
    said = classifier.predict(mapped[:, 0].numpy()).argmax(1)
    return f"{np.mean(said == true):.2f} | {np.mean(said == (true + 1) % len(classifier.config.classes)):.2f}"


def lied(images: Sequence[Sample], classes: Sequence[str]) -> list[Sample]:
    """The images, each under the name of the next class."""
    return [replace(s, label=classes[(classes.index(str(s.label)) + 1) % len(classes)]) for s in images]


def main() -> None:
    torch.set_num_threads(1)
    print("| anatomy | through | called by its class | called the next class |\n|---|---|---|---|")
    for anatomy in ("nih", "phantom"):
        bench = set_up(anatomy, 0, HERE / "out" / "responses", 1.0)
        classes = list(bench.classifier.config.classes)

        source = lied(bench.source(next(iter(bench.world.populations)), RESPONSE), classes)
        held, fitted = source[::5], [s for i, s in enumerate(source) if i % 5]
        reference = lied([s for s in bench.reference if s.split == "train"], classes)
        test = samples(bench.world.tests["test"], RESPONSE, Prepare(bench.classifier.config.image_size), "test")
        images = np.stack([s.prepared for s in test])
        true = np.array([classes.index(s.label) for s in test])
        curve, _ = fit_gdce(fitted, reference, held, bench.classifier, SETTINGS, quiet=True)
        enhancer, _ = fit_enhancer(fitted, reference, held, bench.classifier, SETTINGS, quiet=True)
        for name, network in (
            ("nothing", None),
            ("a curve per image (GDCE)", curve),
            ("pixel-wise enhancer", enhancer),
        ):
            print(f"| {anatomy} | {name} | {shares(bench.classifier, network, images, true)} |", flush=True)


if __name__ == "__main__":
    main()
