"""A network in a harmonizer's folder: what is saved comes back, and nothing else gets in."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from harmonizers import REFERENCE
from isotone.data.manifests.manifest import Manifest
from isotone.errors import ModelError
from isotone.harmonizer.fitted_scanner import FittedScanner
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.harmonizer.model_file import checksum
from isotone.imaging.radiograph import Radiograph
from isotone.networks.classifier import Classifier
from isotone.networks.gdce import GDCE
from isotone.networks.gdce_mapper import GDCEMapper
from isotone.networks.small import SmallNet
from isotone.networks.training.fit_gdce import GDCESettings
from make_images import write_cohort

WEIGHTS = "network-0.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    harmonizer = ToneCurveHarmonizer(REFERENCE, "source", method="gdce")
    torch.manual_seed(0)
    harmonizer.scanners = {"source": FittedScanner(GDCEMapper(GDCE(2, 3, 16)))}
    harmonizer.save(tmp_path)
    return tmp_path


def edit(folder: Path, **changes: object) -> None:
    """Change the network's entry, and make the checksum right again, as whoever means harm would."""
    body = json.loads((folder / "config.json").read_text())
    del body["sha256"]
    body["mappers"]["source"] |= changes
    (folder / "config.json").write_text(json.dumps(body | {"sha256": checksum(body)}))


def reweigh(folder: Path, data: bytes) -> None:
    (folder / WEIGHTS).write_bytes(data)
    edit(folder, sha256=hashlib.sha256(data).hexdigest())


def not_finite(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    save_file(tensors, folder / "nan")
    reweigh(folder, (folder / "nan").read_bytes())


def pickled(folder: Path) -> None:
    torch.save(GDCE(2, 3, 16).state_dict(), folder / "pickle")
    reweigh(folder, (folder / "pickle").read_bytes())


FAULTS = {
    "other bytes": lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-1] + b"\xff"),
    "no weights": lambda f: (f / WEIGHTS).unlink(),
    "not finite": not_finite,
    "pickled": pickled,
    "more steps than weights": lambda f: edit(f, num_iterations=4),
    "other layers": lambda f: edit(f, num_layers=3),
    "a billion steps": lambda f: edit(f, num_iterations=10**9),
    "no number of layers": lambda f: edit(f, num_layers="many"),
    "no size": lambda f: edit(f, input_size=0),
    "weights from elsewhere": lambda f: edit(f, network="../network-0.safetensors"),
    "no name": lambda f: edit(f, network=None),
}


def test_what_is_saved_gives_the_same_curves(folder: Path) -> None:
    image = Radiograph.from_array(np.random.default_rng(0).random((40, 50)), domain="source")
    torch.manual_seed(0)
    wanted = GDCEMapper(GDCE(2, 3, 16)).curve(image)
    assert ToneCurveHarmonizer.load(folder).curve(image) == wanted


@pytest.mark.parametrize("fault", FAULTS)
def test_a_network_that_is_damaged_or_dressed_up_is_refused(folder: Path, fault: str) -> None:
    FAULTS[fault](folder)
    with pytest.raises(ModelError) as refusal:
        ToneCurveHarmonizer.load(folder)
    assert refusal.value.code == "E_MODEL"
    assert "\n" not in str(refusal.value)


def test_the_fit_of_a_network_says_that_the_classifier_is_weak(tmp_path: Path) -> None:
    """All weights are zero, so that the classifier says the same of every image."""
    network = SmallNet(2)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    classifier = Classifier.from_module(network, classes=("bright", "dark"), image_size=16, channels=1)
    settings = GDCESettings.quick(epochs=1, num_layers=1, input_size=16, second_learning_rate=None)
    harmonizer = ToneCurveHarmonizer("ref", "src", method="gdce", settings=settings)
    harmonizer.fit(Manifest.read(write_cohort(tmp_path, patients=8)), classifier, workers=0)
    assert (harmonizer.scanners["src"].report.weak or "").startswith("W_WEAK")
