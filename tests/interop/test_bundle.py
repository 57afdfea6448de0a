"""MONAI bundles, run by MONAI itself."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dicoms
from harmonizers import CURVE, scanner_harmonizer
from isotone.imaging.read import read_radiograph
from isotone.interop.bundle import export_bundle

DOMAIN = "HOLOGIC, Inc. Selenia Dimensions"
HARMONIZER = scanner_harmonizer(DOMAIN)
RUN = "import json, sys, monai.bundle; monai.bundle.run(**json.loads(sys.argv[1]))"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in (1, 2):
        dicoms.write(dicoms.radiograph(seed=seed, inverted=seed == 2), folder / f"{seed}.dcm")
    return folder


def said(bundle: Path, images: Path, **settings: str) -> dict[str, str]:
    """What `monai.bundle.run` is told."""
    pytest.importorskip("monai.bundle")
    return {
        "config_file": str(bundle / "configs" / "inference.json"),
        "meta_file": str(bundle / "configs" / "metadata.json"),
        "bundle_root": str(bundle),
        "dataset_dir": str(images),
        **settings,
    }


def test_the_bundle_harmonizes_a_folder(tmp_path: Path, images: Path) -> None:
    export_bundle(HARMONIZER, tmp_path / "bundle")
    settings = said(tmp_path / "bundle", images, output_dir=str(tmp_path / "out"))
    pytest.importorskip("monai.bundle").run(**settings)
    with (tmp_path / "out" / "images.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    for row in rows:
        wanted = CURVE(read_radiograph(row["path"]).pixels)
        found = np.asarray(Image.open(tmp_path / "out" / row["file"])) / 65535
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.slow
def test_the_bundle_of_a_classifier_writes_its_probabilities_where_nothing_is_loaded_before(
    tmp_path: Path, images: Path
) -> None:
    torch = pytest.importorskip("torch")
    from isotone.networks.classifier import Classifier
    from isotone.networks.small import SmallNet

    torch.manual_seed(0)
    classifier = Classifier.from_module(
        SmallNet(2, 0.0), classes=["no", "yes"], image_size=32, channels=1, backbone="small"
    )
    export_bundle(HARMONIZER, tmp_path / "bundle", classifier)
    command = [sys.executable, "-c", RUN, json.dumps(said(tmp_path / "bundle", images))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "bundle" / "output" / "probabilities.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        image = HARMONIZER.transform(read_radiograph(row["path"]))
        wanted = classifier.predict(classifier.prepare(image)[None])[0]
        np.testing.assert_allclose([float(row["no"]), float(row["yes"])], wanted, atol=1e-5)
