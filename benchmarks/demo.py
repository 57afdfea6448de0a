"""Processor time of `isotone demo` apart from the training of GDCE, stage by stage, here and in another checkout.

    git worktree add ../old 01b34ed
    python -m benchmarks.demo ../old [--epochs 1]

Everything runs in one process each, one after the other. GDCE is trained for a single epoch, because its training is
not counted. Wanted: at most 0.7 times the demo of commit 01b34ed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CHILD = """
import importlib, json, sys, time

def first(*names):
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not name.startswith(error.name):
                raise
    raise SystemExit("no such module: " + ", ".join(names))

demo = first("isotone.cli.demo", "isotone.demo")
gdce = first("isotone.networks.training.fit_gdce", "isotone.training.fit_gdce")
evaluation = importlib.import_module("isotone.evaluation.evaluate")
training, stages = 0.0, {}

def uncounted(function):
    def timed(*args, **kwargs):
        global training
        start = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            training += time.process_time() - start
    return timed

def counted(name, function):
    def timed(*args, **kwargs):
        start, before = time.process_time(), training
        try:
            return function(*args, **kwargs)
        finally:
            stages[name] = stages.get(name, 0.0) + time.process_time() - start - (training - before)
    return timed

gdce.fit_gdce = uncounted(gdce.fit_gdce)
quick = gdce.GDCESettings.quick
gdce.GDCESettings.quick = classmethod(lambda cls, **changes: quick(**{"epochs": EPOCHS} | changes))
demo.make_phantom = counted("phantom", demo.make_phantom)
demo._classifier = counted("classifier", demo._classifier)
demo._harmonizer = counted("fits", demo._harmonizer)
evaluation.evaluate = counted("evaluation", evaluation.evaluate)
start = time.process_time()
demo.run_demo(sys.argv[1], workers=0, quiet=True)
stages["all but GDCE"] = time.process_time() - start - training
print(json.dumps(stages))
"""


def stages(checkout: Path, epochs: int) -> dict[str, Any]:
    """Seconds of each stage of the demo in a checkout."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", CHILD.replace("EPOCHS", str(epochs)), f"{folder}/demo"]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="another checkout")
    parser.add_argument("--epochs", type=int, default=1, help="of GDCE, which are not counted")
    given = parser.parse_args()
    here, there = (stages(root, given.epochs) for root in (Path(__file__).parents[1], given.other))
    for name in here:
        print(f"{name:14} {here[name]:6.1f} s, there {there[name]:6.1f} s: {here[name] / there[name]:.2f}")


if __name__ == "__main__":
    main()
