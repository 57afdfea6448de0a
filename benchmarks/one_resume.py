"""Make the folder of a finished run without images, or resume it; for `scale.py`.

It runs with the source and the tests of whatever checkout stands on PYTHONPATH: names are looked up by
`one_delivery.named`. Inputs do not exist and outputs are empty files: a resumed run looks at both by their names alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from one_delivery import (  # type: ignore[import-not-found]  # beside this file: it runs as a script
    JOURNAL,
    Job,
    ToneCurve,
    named,
    scanner_harmonizer,
)

DOMAIN = "any"
CURVE = ToneCurve([0.5, -0.3, 0.4, 0.2, -0.1, 0.3, 0.1, -0.2])
LOOK = 30
"""Numbers that a gate and a test of drift keep of an image."""
Manifest = named("Manifest", "isotone.data.manifests.manifest", "isotone.data.manifest")
Outcome = named("Outcome", "isotone.deployment.deliver", "isotone.export.deliver")
apply = named("apply", "isotone.deployment.apply", "isotone.apply")
open_journal = named("open_journal", "isotone._runtime.journal", "isotone.journal")
planning = sys.modules[apply.__module__].plan


def outcomes(rows: int) -> Iterator[Any]:
    """What a run notes of each image, with looks rounded as the build does."""
    rng = np.random.default_rng(0)
    rounded = JOURNAL.endswith("sqlite")
    low, high = CURVE.slope_bounds()
    for number in range(rows):
        look = rng.random(LOOK)
        yield Outcome(
            "harmonized",
            CURVE,
            low,
            high,
            levels_kept=4096,
            instance=f"{number:0{32 if rounded else 64}x}",
            look=tuple((np.round(look, 6) if rounded else look).tolist()),
        )


def planned(manifest: Any, output: Path, harmonizer: Any, journal: Any = None) -> list[Any]:
    """The jobs of a run."""
    if journal is None:
        return list(planning(manifest, output, harmonizer.reference_domains, "pixels"))
    inputs = named("Inputs", "isotone.deployment.plan")(manifest, output)
    return list(planning(inputs, harmonizer.reference_domains, "pixels", journal))


def make(manifest: Any, output: Path) -> None:
    """The journal of a finished run, and its empty outputs."""
    harmonizer = scanner_harmonizer(DOMAIN, curve=CURVE)
    model = {"harmonizer": harmonizer.digest, "deliver": "pixels"}
    output.mkdir()
    if JOURNAL.endswith("sqlite"):
        said = named("USUAL", "isotone.deployment.encoding").said()
        with open_journal(output, model | said) as journal:
            jobs = planned(manifest, output, harmonizer, journal)
            for job, outcome in zip(jobs, outcomes(len(manifest)), strict=True):
                own, alike = outcome.to_entry()
                journal.note(job.source, job.key, job.path, own, target=job.target, shared=alike)
                touch(output, job)
        return
    version = named("__version__", "isotone._version")
    inputs = named("digest_of", "isotone.export.plan")(manifest, output)
    with (output / JOURNAL).open("w", encoding="utf-8") as file:
        file.write(json.dumps({"isotone": 1, "version": version, **model, "inputs": inputs}) + "\n")
        jobs = planned(manifest, output, harmonizer)
        for job, outcome in zip(jobs, outcomes(len(manifest)), strict=True):
            file.write(json.dumps({"key": job.key, "target": job.target, **outcome.to_entry()}) + "\n")
            touch(output, job)


def touch(output: Path, job: Job) -> None:
    """An output that is there."""
    path = output / job.target
    path.parent.mkdir(exist_ok=True)
    path.touch()


def peak() -> float:
    """Megabytes of resident memory at most."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def main() -> None:
    what, path, output = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if what == "make":
        make(Manifest.read(path), output)
        print(json.dumps({"bytes": (output / JOURNAL).stat().st_size}))
        return
    harmonizer = scanner_harmonizer(DOMAIN, curve=CURVE)
    start = time.process_time()
    manifest = Manifest.read(path)
    read = time.process_time()
    report = apply(harmonizer, manifest, output, workers=1, quiet=True)
    done = time.process_time()
    print(json.dumps({"resumed": report.resumed, "MB": peak(), "read": read - start, "apply": done - read}))


if __name__ == "__main__":
    main()
