"""Fuzz what reads files from elsewhere: images, curves and harmonizers. Only isotone's own errors may come out.

    python fuzz/fuzz_reader.py -max_total_time=60 [CORPUS]

starts from the sound and faulty files of tests/, and stops at the first other exception with a ``crash-…`` file;
``python fuzz/fuzz_reader.py crash-…`` runs that one again. The first byte of an input chooses what reads the rest.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["isotone", "pydicom", "PIL"]):
    from isotone import curves, harmonizer
    from isotone.errors import IsotoneError
    from isotone.imaging.dicom import read_dicom_reduced
    from isotone.imaging.read import read_header, read_radiograph

SUFFIXES = [".dcm", ".png", ".tif", ".jpg"]
CURVE, HARMONIZER = len(SUFFIXES), len(SUFFIXES) + 1


def one_input(data: bytes) -> None:
    """Read one input; anything but an `IsotoneError` that comes out is a finding."""
    if not data:
        return
    kind, data = data[0] % (HARMONIZER + 1), data[1:]
    try:
        if kind < len(SUFFIXES):
            path = FOLDER / f"input{SUFFIXES[kind]}"
            path.write_bytes(data)
            read_header(path)
            if SUFFIXES[kind] == ".dcm":
                read_dicom_reduced(path, 8)
            image = read_radiograph(path)
            if image.stored.max() >= len(image.tone) or not 0 <= image.tone.min() <= image.tone.max() <= 1:
                raise AssertionError("stored values or tones out of range")
        elif kind == CURVE:
            curve = curves.ToneCurve.from_json(signed(data, curves._checksum))
            curve(0.5)
            curve.certificate()
        else:
            (FOLDER / "config.json").write_text(signed(data, harmonizer._checksum), encoding="utf-8")
            harmonizer.ToneCurveHarmonizer.load(FOLDER)
    except IsotoneError as error:
        if "\n" in str(error):
            raise


def signed(data: bytes, checksum: object) -> str:
    """A JSON object with its checksum made right, so that what lies behind the check is reached."""
    text = data.decode("utf-8", errors="replace")
    try:
        body = json.loads(text)
        body.pop("sha256", None)
        return json.dumps(body | {"sha256": checksum(body)})  # type: ignore[operator]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return text


def write_seeds(folder: Path) -> None:
    """The files of tests/ as inputs, those of more than 100 kB apart."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import bad_dicoms
    import dicoms
    from isotone.curves import Affine, InverseStep, Step, ToneCurve

    made = folder / "made"
    made.mkdir()
    for name, syntax in (dicoms.LOSSLESS | dicoms.LOSSY).items():
        bits = 8 if name == "jpeg" else 12
        dicoms.write(dicoms.encoded(dicoms.radiograph(bits=bits), syntax), made / f"{name}.dcm")
    for _ in bad_dicoms.write_all(made):
        pass
    for suffix in SUFFIXES[1:]:
        bad_dicoms.Image.fromarray(bad_dicoms.GREY).save(made / f"grey{suffix}")
    for path in made.iterdir():
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 100_000:
            (folder / path.name).write_bytes(bytes([SUFFIXES.index(path.suffix)]) + path.read_bytes())
    curve = ToneCurve([Affine(1.1, -0.05), Step(0.4), InverseStep(0.2)])
    (folder / "curve").write_bytes(bytes([CURVE]) + curve.to_json().encode())
    learned = harmonizer.ToneCurveHarmonizer("A", "B")
    learned.mappers = {"B": harmonizer.ScannerMapper(curve)}
    learned.save(folder / "harmonizer")
    config = (folder / "harmonizer" / "config.json").read_bytes()
    (folder / "config").write_bytes(bytes([HARMONIZER]) + config)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary:
        FOLDER = Path(temporary) / "files"
        SEEDS = Path(temporary) / "seeds"
        FOLDER.mkdir()
        SEEDS.mkdir()
        write_seeds(SEEDS)
        atheris.Setup(
            [*sys.argv, str(SEEDS)] if not any(Path(a).is_file() for a in sys.argv[1:]) else sys.argv, one_input
        )
        atheris.Fuzz()
