"""Deliver one image whenever a line comes in, and say what processor time it took; for `dicom.py --against`.

    python one_delivery.py IMAGE OUTPUT pixels|voi-lut gate|read-back|""     # the last one is left out

It runs with the source and the tests of whatever checkout stands on PYTHONPATH, so each name is looked up where that
checkout has it.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np


def named(name: str, *homes: str) -> Any:
    """A name from the first of its homes that this checkout has; the later ones are those of 01b34ed."""
    for home in homes:
        try:
            return getattr(import_module(home), name)
        except (ModuleNotFoundError, AttributeError):
            continue
    raise ImportError(f"{name} is in none of {', '.join(homes)}")


JOURNAL = named("JOURNAL", "isotone._runtime.journal", "isotone.journal")
ToneCurve = named("ToneCurve", "isotone.curves.tone_curve", "isotone.curves")
look = named("look", "isotone.data.descriptors.appearance", "isotone.look")
TakeSample = named("TakeSample", "isotone.data.sample")
Delivery, Job = (named(n, "isotone.deployment.deliver", "isotone.export.deliver") for n in ("Delivery", "Job"))
read_radiograph = named("read_radiograph", "isotone.imaging.read")
scanner_harmonizer = named("scanner_harmonizer", "harmonizers")

CURVE = ToneCurve([0.5, -0.3, 0.4, 0.2, -0.1, 0.3, 0.1, -0.2])


def with_gate(harmonizer: Any, domain: str, path: Path) -> Any:
    """With a gate that an image passes."""
    seen = look(TakeSample()(read_radiograph(path)))
    looks = seen + np.random.default_rng(0).normal(0, 0.02, (40, len(seen)))
    fitted = looks, [str(i) for i in range(40)], looks, ["a", "b"] * 20
    if hasattr(harmonizer, "gates"):  # 01b34ed
        harmonizer.gates = {domain: named("Gate", "isotone.gate").fit(*fitted)}
    else:
        novelty = named("Novelty", "isotone.monitoring.novelty").fit(*fitted)
        named("change", "harmonizers")(harmonizer, domain, novelty=novelty)
    return harmonizer


def main() -> None:
    path, output = Path(sys.argv[1]), Path(sys.argv[2])
    deliver: Any = sys.argv[3]
    without = sys.argv[4]
    output.mkdir(exist_ok=True)
    (output / JOURNAL).touch()
    harmonizer = scanner_harmonizer("any", curve=CURVE)
    delivery = Delivery(harmonizer if without == "gate" else with_gate(harmonizer, "any", path), output, deliver)
    if without == "read-back":
        for home, confirm in (("write", "confirm_dicom"), ("derived_image", "confirm_png")):
            setattr(import_module(f"isotone.deployment.dicom_objects.{home}"), confirm, lambda *_: None)
    job = Job(path, "any", f"harmonized{path.suffix}", "key")
    for _ in sys.stdin:
        start = time.process_time()
        delivery(job)
        print(time.process_time() - start, flush=True)


if __name__ == "__main__":
    main()
