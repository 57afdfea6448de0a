"""A harmonizer, and a classifier behind it, as a MONAI bundle that ``python -m monai.bundle run`` runs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from isotone._runtime.files import replace_file, write_text
from isotone._version import __version__
from isotone.curves.tone_curve import quantize
from isotone.deployment.record import INTENDED_USE
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.resize import to_square
from isotone.interop.hub import CLASSIFIER, model_card, save_pretrained

if TYPE_CHECKING:
    from isotone.networks.classifier import Classifier

MONAI = "1.6.1"
"""The version that bundles were tried with."""
MODELS = "models"


def export_bundle(harmonizer: ToneCurveHarmonizer, folder: str | Path, classifier: Classifier | None = None) -> None:
    """Write ``configs/``, ``models/`` and ``docs/``; MONAI is not needed for that.

    The bundle maps the images of ``dataset_dir`` into ``output_dir``: 16-bit PNG, or with a classifier
    ``probabilities.csv``. It needs isotone where it runs, and an image that isotone refuses ends the run.

    Parameters
    ----------
    harmonizer : ToneCurveHarmonizer
    folder : path
    classifier : Classifier, optional
        One that runs code of its own is built only where the run allows it: ``--allow_code module:function``.

    Raises
    ------
    ModelError, UsageError
        As `isotone.interop.hub.save_pretrained`.
    """
    target = Path(folder)
    save_pretrained(harmonizer, target / MODELS, classifier)
    write_text(target / "docs" / "README.md", model_card(harmonizer, classifier).split("---\n", 2)[2].lstrip())
    write_text(target / "configs" / "metadata.json", _json(_metadata(harmonizer, classifier)))
    write_text(target / "configs" / "inference.json", _json(_inference(classifier)))


def write_images(items: Iterable[Mapping[str, Any]], output: str | Path) -> None:
    """Harmonized images as 16-bit PNG, numbered; ``images.csv`` says which is which.

    Parameters
    ----------
    items : iterable of mapping
        "image": `MetaTensor` of shape (1, rows, columns), with the path in its ``meta``.
    output : path
    """
    rows = []
    for number, item in enumerate(items, 1):
        name = f"{number:06d}.png"
        with replace_file(Path(output) / name) as temporary:
            Image.fromarray(quantize(np.asarray(item["image"])[0], 16)).save(temporary, "PNG")
        rows.append([item["image"].meta["filename_or_obj"], name])
    _write_table(Path(output) / "images.csv", ["path", "file"], rows)


def write_probabilities(
    items: Iterable[Mapping[str, Any]], classifier: str | Path, output: str | Path, allow_code: str = ""
) -> None:
    """The classifier's probabilities of harmonized images, as ``probabilities.csv``.

    Parameters
    ----------
    items : iterable of mapping
        As for `write_images`.
    classifier : path
        Its folder.
    output : path
    allow_code : str
        As for `isotone.Classifier.load`.
    """
    from isotone.networks.classifier import Classifier

    loaded = Classifier.load(classifier, allow_code=allow_code)
    rows = []
    for item in items:
        prepared = to_square(np.asarray(item["image"])[0], loaded.config.image_size)
        scores = loaded.predict(prepared[None])[0]
        rows.append([item["image"].meta["filename_or_obj"], *(f"{score:.6f}" for score in scores)])
    _write_table(Path(output) / "probabilities.csv", ["path", *loaded.config.classes], rows)


def _write_table(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with replace_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def _inference(classifier: Classifier | None) -> dict[str, Any]:
    run = (
        "$bundle.write_images(@dataset, @output_dir)"
        if classifier is None
        else f"$bundle.write_probabilities(@dataset, @bundle_root + '/{MODELS}/{CLASSIFIER}', @output_dir, @allow_code)"
    )
    return {
        "imports": [
            "$import isotone.interop.bundle as bundle",
            "$import isotone.imaging.folder as folder",
            "$from pathlib import Path",
        ],
        "bundle_root": ".",
        "dataset_dir": "images",
        "output_dir": "$@bundle_root + '/output'",
        "allow_code": "",
        "images": "$list(folder.images_in(Path(@dataset_dir)))",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "isotone.interop.monai.LoadRadiographd", "keys": "image"},
                {
                    "_target_": "isotone.interop.monai.Harmonized",
                    "keys": "image",
                    "harmonizer": f"$@bundle_root + '/{MODELS}'",
                },
            ],
        },
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': path} for path in @images]",
            "transform": "@preprocessing",
        },
        "run": [run],
    }


def _metadata(harmonizer: ToneCurveHarmonizer, classifier: Classifier | None) -> dict[str, Any]:
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "CR, DX, MG",
        "num_channels": 1,
        "spatial_shape": ["*", "*"],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {"0": "grey level, 0 black"},
    }
    scores = {
        "type": "probabilities",
        "format": "classes",
        "num_channels": 0 if classifier is None else len(classifier.config.classes),
        "spatial_shape": [1],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {} if classifier is None else {str(n): name for n, name in enumerate(classifier.config.classes)},
    }
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20220324.json",
        "version": "0.1.0",
        "changelog": {"0.1.0": f"exported {datetime.now(UTC):%Y-%m-%d}, SHA-256 {harmonizer.digest}"},
        "monai_version": MONAI,
        "pytorch_version": _version("torch"),
        "numpy_version": _version("numpy"),
        "required_packages_version": {"isotone": __version__},
        "name": "isotone",
        "task": "Cross-vendor harmonization of radiographs by monotone tone curves",
        "description": f"{', '.join(harmonizer.scanners)} to {', '.join(harmonizer.reference_domains)}",
        "authors": "whoever exported it",
        "copyright": "of whoever exported it",
        "intended_use": INTENDED_USE,
        "network_data_format": {
            "inputs": {"image": image},
            "outputs": {"image": image} if classifier is None else {"pred": scores},
        },
    }


def _version(package: str) -> str:
    """Of an installed package; empty where it is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"
