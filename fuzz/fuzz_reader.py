"""Fuzz what reads files from elsewhere: images, tables, models, results, records. Only isotone's errors may come out.

    python fuzz/fuzz_reader.py -max_total_time=60 [CORPUS]

starts from the sound and faulty files of tests/, and stops at the first other exception with a ``crash-…`` file;
``python fuzz/fuzz_reader.py crash-…`` runs that one again. The first byte of an input chooses the reader of `READERS`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris
from pydicom import dcmread

with atheris.instrument_imports(include=["isotone", "pydicom", "PIL"]):
    from isotone.curves import tone_curve as curves
    from isotone.data.manifests.manifest import Manifest
    from isotone.deployment.restore import Task, restore_file
    from isotone.errors import IsotoneError
    from isotone.evaluation.compare import compare
    from isotone.evaluation.results import Results
    from isotone.harmonizer import model_file
    from isotone.harmonizer.fit_report import fit_sentences
    from isotone.harmonizer.fitted_scanner import FittedScanner
    from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
    from isotone.harmonizer.mappers import ScannerMapper
    from isotone.imaging.dicom.read_dicom import read_dicom_reduced
    from isotone.imaging.own_files import CREATOR, GROUP
    from isotone.imaging.read import read_header, read_radiograph
    from isotone.networks.backbones import build
    from isotone.networks.classifier import Classifier

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import bad_dicoms
import dicoms
import harmonizers
from made_scores import GOOD

FOLDER: Path
DELIVERED: bytes
"""A delivered image; a fuzzed text takes the place of its record."""


def written(name: str, data: bytes) -> Path:
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def signed(data: bytes, checksum: Callable[..., str]) -> bytes:
    """A JSON object with its checksum made right, so that what lies behind the check is reached."""
    try:
        body = json.loads(data)
        body.pop("sha256", None)
        return json.dumps(body | {"sha256": checksum(body)}).encode()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return data


def image(suffix: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        path = written(f"input{suffix}", data)
        read_header(path)
        if suffix == ".dcm":
            read_dicom_reduced(path, 8)
        radiograph = read_radiograph(path)
        tone = radiograph.tone
        if radiograph.stored.max() >= len(tone) or not 0 <= tone.min() <= tone.max() <= 1:
            raise AssertionError("stored values or tones out of range")

    return read


def curve(data: bytes) -> None:
    read = curves.ToneCurve.from_json(signed(data, curves._checksum).decode(errors="replace"))
    read(0.5)
    read.certificate()


def harmonizer(data: bytes) -> None:
    path = written(f"harmonizer/{model_file.CONFIG}", signed(data, model_file.checksum))
    model = ToneCurveHarmonizer.load(path.parent)
    for scanner in model.scanners.values():
        fit_sentences(scanner.report, model.labels)


def classifier(data: bytes) -> None:
    Classifier.load(written("classifier/config.json", data).parent)


def manifest(data: bytes) -> None:
    list(Manifest.read(written("manifest.csv", data)))


def results(data: bytes) -> None:
    path = written("evaluation/results.json", data)
    Results.read(path).table()
    compare(path.parent, path.parent)


def record(data: bytes) -> None:
    path = written("delivered.dcm", DELIVERED)
    dataset = dcmread(path)
    block = dataset.private_block(GROUP, CREATOR)
    block[0x01].value = data.decode(errors="replace").replace("\\", "/")
    dataset.save_as(path)
    restore_file(Task(path, FOLDER / "restored.dcm"))


READERS: dict[str, Callable[[bytes], None]] = {
    **{suffix: image(suffix) for suffix in (".dcm", ".png", ".tif", ".jpg")},
    **{read.__name__: read for read in (curve, harmonizer, classifier, manifest, results, record)},
}


def one_input(data: bytes) -> None:
    """Read one input; anything but an `IsotoneError` that comes out is a finding."""
    if not data:
        return
    try:
        list(READERS.values())[data[0] % len(READERS)](data[1:])
    except IsotoneError as error:
        if "\n" in str(error):
            raise


def write_seeds(folder: Path) -> None:
    """The files of tests/ as inputs, those of more than 100 kB apart, and a sound one for each other reader."""
    global DELIVERED
    names = list(READERS)

    def seed(name: str, reader: str, data: bytes) -> None:
        (folder / name).write_bytes(bytes([names.index(reader)]) + data)

    made = folder / "made"
    made.mkdir()
    for name, syntax in (dicoms.LOSSLESS | dicoms.LOSSY).items():
        bits = 8 if name == "jpeg" else 12
        dicoms.write(dicoms.encoded(dicoms.radiograph(bits=bits), syntax), made / f"{name}.dcm")
    for _ in bad_dicoms.write_all(made):
        pass
    for suffix in (".png", ".tif", ".jpg"):
        bad_dicoms.Image.fromarray(bad_dicoms.GREY).save(made / f"grey{suffix}")
    for path in made.iterdir():
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 100_000 and path.suffix in READERS:
            seed(path.name, path.suffix, path.read_bytes())

    tone = curves.ToneCurve([curves.Affine(1.1, -0.05), curves.Step(0.4), curves.InverseStep(0.2)])
    seed("curve", "curve", tone.to_json().encode())
    model = ToneCurveHarmonizer("A", "B")
    model.scanners = {"B": FittedScanner(ScannerMapper(tone))}
    model.save(folder / "harmonizer-model")
    seed("harmonizer", "harmonizer", (folder / "harmonizer-model" / model_file.CONFIG).read_bytes())
    network = build("small", 2)
    Classifier.from_module(network, classes=["A", "B"], image_size=32, channels=1, backbone="small").save(
        FOLDER / "classifier"
    )
    seed("classifier", "classifier", (FOLDER / "classifier" / "config.json").read_bytes())
    table = "path;domain;Patient ID;label;split\nimages/a.png;One;p1;1;train\nimages/b.png;One;p2;nan;test\n"
    seed("manifest", "manifest", table.encode())
    seed("manifest-wide", "manifest", table.replace(";", "\t").encode("utf-16"))
    seed("results", "results", GOOD.model_dump_json(by_alias=True).encode())
    written("evaluation/scores.csv", b"")
    source = made / "delivered" / "a.dcm"
    source.parent.mkdir()
    dicoms.write(dicoms.radiograph(), source)
    target, _ = harmonizers.deliver_one(source, folder / "delivered")
    DELIVERED = target.read_bytes()
    seed("record", "record", dcmread(target).private_block(GROUP, CREATOR)[0x01].value.encode())


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary:
        FOLDER = Path(temporary) / "files"
        SEEDS = Path(temporary) / "seeds"
        FOLDER.mkdir()
        SEEDS.mkdir()
        write_seeds(SEEDS)
        arguments = sys.argv if any(Path(a).is_file() for a in sys.argv[1:]) else [*sys.argv, str(SEEDS)]
        atheris.Setup(arguments, one_input)
        atheris.Fuzz()
