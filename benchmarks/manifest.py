"""Reading and splitting a manifest of 100,000 rows, as ratios to pandas.read_csv and one pass, measured in turn.

    python -m benchmarks.manifest [--rows 100000] [--rounds 7]

The budget is three times `pandas.read_csv` of all columns as text plus one pass over its rows (`itertuples`).
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from isotone.data.manifests.manifest import Manifest
from isotone.data.splits import with_splits


def write(path: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    pd.DataFrame(
        {
            "path": [f"images/site{i % 7}/img_{i:06d}.png" for i in range(rows)],
            "domain": rng.choice(["Alder One", "Birch Two", "Cedar Three"], rows),
            "label": rng.choice(list("ABCD"), rows),
            "patient_id": rng.integers(0, rows * 2 // 5, rows).astype(str),
            "age": rng.integers(20, 90, rows),
        }
    ).to_csv(path, index=False)


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()  # other programs of the machine do not count
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.csv"
        write(path, given.rows)
        table, manifest = pd.read_csv(path, dtype=str), Manifest.read(path)
        jobs: dict[str, Callable[[], object]] = {
            "pandas.read_csv": lambda: pd.read_csv(path, dtype=str),
            "one pass": lambda: [row.path for row in table.itertuples()],
            "read": lambda: Manifest.read(path),
            "split": lambda: with_splits(manifest),
            "rows": lambda: list(manifest),
        }
        times: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(given.rounds):
            for name, work in jobs.items():
                times[name].append(seconds(work))
    best = {name: min(own) for name, own in times.items()}
    for name, value in best.items():
        print(f"{name:16} {value * 1000:7.0f} ms {value / best['pandas.read_csv']:7.2f} × pandas.read_csv")
    budget = 3 * best["pandas.read_csv"] + best["one pass"]
    print(f"read and split   {(best['read'] + best['split']) / budget:.2f} of the budget")


if __name__ == "__main__":
    main()
