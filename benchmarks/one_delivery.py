"""Deliver one image whenever a line comes in, and say what processor time it took; for `dicom.py --against`.

It runs with the source and the tests of whatever checkout stands on PYTHONPATH, so it keeps to names that are old.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from harmonizers import change, scanner_harmonizer
from isotone._runtime.journal import JOURNAL
from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.appearance import look
from isotone.data.sample import TakeSample
from isotone.deployment.deliver import Delivery, Job
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.read import read_radiograph
from isotone.monitoring.novelty import Novelty

CURVE = ToneCurve([0.5, -0.3, 0.4, 0.2, -0.1, 0.3, 0.1, -0.2])


def with_gate(harmonizer: ToneCurveHarmonizer, domain: str, path: Path) -> ToneCurveHarmonizer:
    """With a gate that an image passes."""
    seen = look(TakeSample()(read_radiograph(path)))
    looks = seen + np.random.default_rng(0).normal(0, 0.02, (40, len(seen)))
    change(harmonizer, domain, novelty=Novelty.fit(looks, [str(i) for i in range(40)], looks, ["a", "b"] * 20))
    return harmonizer


def main() -> None:
    path, output = Path(sys.argv[1]), Path(sys.argv[2])
    deliver: Any = sys.argv[3]
    output.mkdir(exist_ok=True)
    (output / JOURNAL).touch()
    delivery = Delivery(with_gate(scanner_harmonizer("any", curve=CURVE), "any", path), output, deliver)
    job = Job(path, "any", f"harmonized{path.suffix}", "key")
    for _ in sys.stdin:
        start = time.process_time()
        delivery(job)
        print(time.process_time() - start, flush=True)


if __name__ == "__main__":
    main()
