"""The pairs of scanners of `real_pairs.py`: chests of NIH by pixel spacing, and simulated responses for comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image

from benchmarks import responses_data
from isotone._runtime.files import replace_file
from isotone.curves.tone_curve import quantize
from isotone.data.manifests.manifest import Manifest
from isotone.data.phantom.make_phantom import make_phantom
from isotone.imaging.radiograph import Radiograph
from isotone.imaging.read import read_radiograph

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
X, Y = ("spacing 0.168", "spacing 0.171"), ("spacing 0.143",)
OLD = 55
"""Years from which on a patient is "old": near the median of both sides, which differ by eight years."""
ALDER = "Alder Mammo One"
REFERENCE, SOURCE = "reference", "source"
"""Names of the domains in every pair: several spacings of one side are one scanner."""


@dataclass(frozen=True)
class Pair:
    """A question: which scanner's images are to be mapped onto which reference.

    Attributes
    ----------
    kind : str
        "real", "control" (two names of one kind of scanner) or "simulated" (the response is known).
    chosen_on : bool
        Whether the rule of the default was chosen in view of this pair.
    image_size : int
        Of the classifier's input.
    """

    name: str
    kind: str
    chosen_on: bool
    image_size: int
    load: Callable[[int, Path], Cohort]


@dataclass(frozen=True, eq=False)
class Item:
    """An image of a file with what the experiment knows of it; the fit sees no label of the source."""

    radiograph: Radiograph
    label: str
    patient: str


@dataclass(frozen=True, eq=False)
class Cohort:
    """The images of a pair; `twice` are those of patients imaged on both sides, which neither fit nor test sees.

    Attributes
    ----------
    wedge : callable or None
        The known response of the source scanner: grey level of the reference to that of the source.
    """

    classes: tuple[str, ...]
    reference: list[Item]
    source: list[Item]
    twice: tuple[list[Item], list[Item]] = ((), ())  # type: ignore[assignment]
    wedge: Callable[[Any], Any] | None = None


def _nih(
    folder: str, reference: tuple[str, ...], source: tuple[str, ...], label: str, views: tuple[str, ...] = ("PA",)
) -> Callable[[int, Path], Cohort]:
    def load(seed: int, work: Path) -> Cohort:
        table = pd.read_csv(SHARED / folder / "manifest.csv", dtype={"patient_id": str})
        table = table[table["domain"].isin([*reference, *source]) & table["view"].isin(views)]
        sides = table.groupby("patient_id")["domain"].agg(lambda found: len({d in source for d in found}))
        both = set(sides.index[sides > 1])
        of = table["label"] if label == "sex" else np.where(table["age"] >= OLD, "old", "young")
        named = {**dict.fromkeys(reference, REFERENCE), **dict.fromkeys(source, SOURCE)}
        items = [
            (domain, Item(read_radiograph(SHARED / folder / path, domain=named[domain]), str(name), patient))
            for path, domain, patient, name in zip(table["path"], table["domain"], table["patient_id"], of, strict=True)
        ]

        def side(domains: tuple[str, ...], again: bool) -> list[Item]:
            return [item for domain, item in items if domain in domains and (item.patient in both) == again]

        classes = tuple(sorted(set(map(str, of))))
        twice = side(source, True), side(reference, True)
        return Cohort(classes, side(reference, False), side(source, False), twice)

    return load


def _kermany(response: str) -> Callable[[int, Path], Cohort]:
    """One third normal in the source, one half in the reference."""

    def load(seed: int, work: Path) -> Cohort:
        world = responses_data.make_world("kermany", seed)
        behind = world.populations["normal : pneumonia 1 : 3"][0] + world.tests["test"]

        def items(images: Sequence[responses_data.Image], response: str, domain: str) -> list[Item]:
            shown = [responses_data.radiograph(image, response, i, domain) for i, image in enumerate(images)]
            files = [work / f"kermany-{seed}" / response / f"{i}.png" for i in range(len(images))]
            written = [_written(radiograph, path) for radiograph, path in zip(shown, files, strict=True)]
            return [Item(r, image.label, image.patient) for r, image in zip(written, images, strict=True)]

        reference = items([*world.train, *world.val], "none", REFERENCE)
        wedge = responses_data.RESPONSES[response]
        return Cohort(world.classes, reference, items(behind, response, SOURCE), wedge=wedge)

    return load


def _written(radiograph: Radiograph, path: Path) -> Radiograph:
    """The image as read from a 16-bit PNG."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = quantize(radiograph.tone, 16).astype(np.uint16)[radiograph.stored]
        with replace_file(path) as temporary:
            PIL.Image.fromarray(grey).save(temporary, format="PNG")
    return read_radiograph(path, domain=radiograph.header.domain)


def _phantom(domain: str) -> Callable[[int, Path], Cohort]:
    """All images of both scanners: in the source, classes B and C are three times as frequent as A and D."""

    def load(seed: int, work: Path) -> Cohort:
        from isotone.data.phantom.scanners import SCANNERS

        folder = work / f"phantom-{seed}"
        if not (folder / "manifest.csv").exists():
            make_phantom(folder, size=128, seed=seed, workers=0, quiet=True, force=True)
        table = Manifest.read(folder / "manifest.csv").table

        def side(name: str, called: str) -> list[Item]:
            rows = table[table["domain"] == name]
            return [
                Item(read_radiograph(path, domain=called), label, patient)
                for path, label, patient in rows[["path", "label", "patient_id"]].values
            ]

        wedge = next(scanner.response for scanner in SCANNERS if scanner.domain == domain)
        return Cohort(tuple("ABCD"), side(ALDER, REFERENCE), side(domain, SOURCE), wedge=wedge)

    return load


PAIRS = (
    Pair("sex, 0.143 onto 0.168/0.171", "real", True, 64, _nih("nih64", X, Y, "sex")),
    Pair("sex, 0.168/0.171 onto 0.143", "real", False, 64, _nih("nih64", Y, X, "sex")),
    Pair("age, 0.143 onto 0.168/0.171", "real", False, 64, _nih("nih64", X, Y, "age")),
    Pair("age, 0.168/0.171 onto 0.143", "real", True, 64, _nih("nih64", Y, X, "age")),
    Pair("sex, 256 px, 0.143 onto 0.168/0.171", "real", True, 96, _nih("nih", X, Y, "sex")),
    Pair("sex, 256 px, 0.168/0.171 onto 0.143", "real", False, 96, _nih("nih", Y, X, "sex")),
    Pair("control, 0.171 onto 0.168", "control", False, 64, _nih("nih64", X[:1], X[1:], "sex", ("PA", "AP"))),
    Pair("phantom, Birch", "simulated", True, 64, _phantom("Birch Mammo Two")),
    Pair("phantom, Cedar", "simulated", False, 64, _phantom("Cedar Mammo Three")),
    Pair("phantom, Dogwood", "simulated", False, 64, _phantom("Dogwood Mammo Four")),
    Pair("Kermany, gamma 2.5", "simulated", True, 64, _kermany("gamma 2.5")),
    Pair("Kermany, log", "simulated", False, 64, _kermany("log")),
    Pair("Kermany, narrow range", "simulated", True, 64, _kermany("narrow, lifted black")),
)


def split(items: Sequence[Item], parts: int, seed: int) -> np.ndarray:
    """Number of each item's part: by patient, stratified by label."""
    from sklearn.model_selection import StratifiedGroupKFold

    labels, patients = [item.label for item in items], [item.patient for item in items]
    result = np.zeros(len(items), int)
    dealt = StratifiedGroupKFold(parts, shuffle=True, random_state=seed).split(labels, labels, patients)
    for part, (_, members) in enumerate(dealt):
        result[members] = part
    return result


def few(cohort: Cohort, every: int) -> Cohort:
    """Every k-th image, to try the script."""
    return replace(cohort, reference=cohort.reference[::every], source=cohort.source[::every])
