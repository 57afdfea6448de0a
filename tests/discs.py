"""A cohort of discs on black, and a classifier and a method to go with it: what evaluation is tested on."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from PIL import Image

from isotone.errors import RadiographError
from isotone.imaging.radiograph import Radiograph
from isotone.networks.prepare import Prepare

CLASSES = ("dim", "grey", "bright")
REFERENCE, SOURCE = "Ref One", "Src Two"


@dataclass
class Brightness:
    """A classifier by mean brightness, with the interface of `isotone.networks.classifier.Classifier`."""

    classes: tuple[str, ...] = CLASSES
    reference_domains: tuple[str, ...] = (REFERENCE,)

    def __post_init__(self) -> None:
        self.config = SimpleNamespace(classes=self.classes, reference_domains=self.reference_domains, sha256="c0ffee")
        self.prepare = Prepare(16)

    def embed(self, prepared: np.ndarray) -> np.ndarray:
        return np.stack([prepared.mean((1, 2)), prepared.std((1, 2)), prepared.max((1, 2))], axis=1)

    def predict_and_embed(self, prepared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.predict(prepared), self.embed(prepared)

    def predict(self, prepared: np.ndarray, batch_size: int = 64) -> np.ndarray:
        centres = np.linspace(0.25, 0.45, len(self.classes))
        logits = -((prepared.mean((1, 2))[:, None] - centres) ** 2) / 0.005
        scores = np.exp(logits - logits.max(1, keepdims=True))
        return scores / scores.sum(1, keepdims=True)


class Power:
    """A method: a power of the grey level, for one domain alone."""

    def __init__(self, gamma: float, domain: str | None = None) -> None:
        self.gamma, self.domain, self.digest = gamma, domain, "ab" * 32

    def transform(self, radiograph: Radiograph) -> Radiograph:
        if self.domain is not None and radiograph.header.domain != self.domain:
            raise RadiographError("E_DOMAIN", "no curve was fitted for its scanner", file=radiograph.header.path)
        return radiograph.map_tone(lambda x: x**self.gamma)


def write_cohort(
    folder: Path,
    *,
    patients: int = 12,
    images: int = 2,
    split: str = "test",
    size: tuple[int, int] = (48, 40),
    seed: int = 0,
) -> pd.DataFrame:
    """Discs on black, the brighter the higher the class; the source has gamma 0.5; oracle twins of its images."""
    rng = np.random.default_rng(seed)
    rows = []
    for domain, gamma in ((REFERENCE, 1.0), (SOURCE, 0.5)):
        for patient in range(patients):
            label = patient % 3
            for image in range(images):
                y, x = np.mgrid[: size[0], : size[1]] / size[0]
                disc = ((y - 0.5) / 0.46) ** 2 + ((x - 0.08) / 0.62) ** 2 < 1
                level = 0.3 + 0.2 * label + 0.06 * rng.normal() + 0.1 * rng.random(size)
                pixels = np.where(disc, level.clip(0.1, 1), 0.01 * rng.random(size))
                names = {"path": f"{domain}/{split}-{patient}-{image}.png"}
                if gamma != 1:
                    names["oracle_path"] = f"oracle/{split}-{patient}-{image}.png"
                for column, name in names.items():
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    seen = pixels ** (gamma if column == "path" else 1)
                    Image.fromarray(np.round(65535 * seen).astype(np.uint16)).save(folder / name)
                facts = {"domain": domain, "label": CLASSES[label], "patient_id": f"{domain} {split} {patient}"}
                rows.append(names | facts | {"split": split})
    return pd.DataFrame(rows)


def write_manifest(folder: Path) -> Path:
    """Train, val and test images of both domains, and their manifest."""
    parts = [write_cohort(folder), write_cohort(folder, patients=6, split="train")]
    parts.append(write_cohort(folder, patients=6, split="val"))
    pd.concat(parts).to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"
