"""Process CPU of fits: the first on some images, the second, one with other settings; and of another build.

    python -m benchmarks.fit [--folder DIR] [--patients N] [--size PIXELS] [--jpeg-2000] [--against WORKTREE]

The phantom is drawn once into DIR (default: benchmarks/out/fit-SIZE). The classifier is trained for one epoch: how well
it classifies does not change the time. Each fit runs in a process of its own, and what `import` takes is not counted.
With ``--jpeg-2000`` all images are JPEG 2000 files. ``--against`` runs the first fit with the code of another worktree
as well, without the classifier, in turn with this one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 3
REFERENCE, SOURCE = "Alder Mammo One", "Birch Mammo Two"
HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--jpeg-2000", action="store_true")
    parser.add_argument("--against", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    folder = given.folder or HERE / "out" / f"fit-{given.size}{'-jpeg-2000' if given.jpeg_2000 else ''}"
    if given.one:
        print(json.dumps(one_fit(folder, json.loads(given.one))))
        return
    if not (folder / "classifier").exists():
        draw(folder, given.patients, given.size, given.jpeg_2000)
    for classifier in (False, True):
        print(f"\n{'with' if classifier else 'without'} a classifier")
        compare(folder, classifier, given.against, given.jpeg_2000)


def draw(folder: Path, patients: int, size: int, jpeg_2000: bool) -> None:
    """The phantom and the classifier."""
    from isotone import Manifest, TrainSettings, make_phantom, train_classifier

    make_phantom(folder, patients=patients, size=size, seed=0, workers=os.cpu_count() or 1)
    if jpeg_2000:
        for path in sorted((folder / "images").rglob("*.dcm")):
            compress(path)
    settings = TrainSettings.small(epochs=1)
    trained = train_classifier(Manifest.read(folder / "manifest.csv"), [REFERENCE], settings, quiet=True)
    trained.trained_on = None
    trained.save(folder / "classifier")


def compress(path: Path) -> None:
    """Make a file JPEG 2000, lossless."""
    import imagecodecs
    import pydicom
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEG2000Lossless

    dataset = pydicom.dcmread(path)
    frame = bytes(imagecodecs.jpeg2k_encode(dataset.pixel_array, level=0, reversible=True, codecformat="j2k"))
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.save_as(path)


def compare(folder: Path, classifier: bool, against: Path | None, jpeg_2000: bool) -> None:
    """Print the CPU of each kind of fit, and its ratio to the first of this build."""
    found: dict[str, list[float]] = {}
    digests: dict[str, set[str]] = {}
    for _ in range(ROUNDS):
        cache = Path(tempfile.mkdtemp())
        kinds: list[tuple[str, dict[str, object], Path | None]] = [
            ("first", {"cache": str(cache)}, None),
            ("second", {"cache": str(cache)}, None),
            ("other settings", {"cache": str(cache), "settings": {"num_iterations": 4}}, None),
            ("without the cache", {}, None),
        ]
        if against is not None and not classifier:  # another build may not read this one's classifier
            kinds.append(("the other build", {}, against / "src"))
        for name, how, source in kinds:
            asked = {"classifier": classifier, **how}
            told = subprocess.run(
                [sys.executable, "-m", "benchmarks.fit", "--folder", str(folder), "--one", json.dumps(asked)],
                capture_output=True,
                text=True,
                check=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"} | ({"PYTHONPATH": str(source)} if source else {}),
                cwd=HERE.parent,
            )
            seconds, digest = json.loads(told.stdout.splitlines()[-1])
            found.setdefault(name, []).append(seconds)
            digests.setdefault(name, set()).add(digest)
        shutil.rmtree(cache)
    first = min(found["first"])
    for name, seconds in found.items():
        print(f"{name:28} {min(seconds):8.2f} s CPU  {min(seconds) / first:6.3f}")
    print(f"same model: {digests['first'] == digests['second'] == digests['without the cache']}")


def one_fit(folder: Path, asked: dict) -> tuple[float, str]:
    """CPU seconds of one fit in this process and its children, and the digest of the model."""
    import scipy.stats  # noqa: F401
    import sklearn.linear_model
    import sklearn.model_selection
    import sklearn.pipeline  # noqa: F401

    from isotone import Classifier, Manifest, ToneCurveHarmonizer

    table = Manifest.read(folder / "manifest.csv").table
    table = table[table["split"].isin(["train", "val"]) & table["domain"].isin([REFERENCE, SOURCE])]
    manifest = Manifest(table)
    frozen = Classifier.load(folder / "classifier") if asked["classifier"] else None
    method = ToneCurveHarmonizer(REFERENCE, SOURCE, settings=asked.get("settings"))
    kept = {"cache": asked["cache"]} if "cache" in asked else {}
    before = cpu()
    method.fit(manifest, frozen, workers=0, **kept)
    return cpu() - before, method.digest


def cpu() -> float:
    """CPU seconds so far of this process and of its children."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in both)


if __name__ == "__main__":
    main()
