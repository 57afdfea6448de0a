"""A task and responses that nothing was chosen on: bacterial against viral pneumonia (Kermany et al.).

The harmonizers were built while looking at the worlds of `responses.py`; here they meet labels and responses that are
not among them. Worst-group accuracy of every method on the same test images, draw by draw; the first five responses are
one function for all images, the last three change from image to image and were looked at when `adaptive` was built.

    python -m benchmarks.unseen [--seeds 0 1 2]        # writes docs/results_unseen.md
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from benchmarks import responses, responses_data
from benchmarks.responses_table import table
from isotone._runtime.files import write_text
from isotone.evaluation.metrics import macro_auc

HERE = Path(__file__).resolve().parent
RESPONSES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gamma 0.55": lambda x: x**0.55,
    "gamma 2": lambda x: x**2.0,
    "arcsinh": lambda x: np.arcsinh(8 * x) / np.arcsinh(8),
    "toe and shoulder": lambda x: x**1.6 / (x**1.6 + (1 - x) ** 1.1),
    "lifted narrow range": lambda x: 0.12 + 0.5 * x**0.8,
}
METHODS = (
    "none",
    "oracle",
    "scanner, no labels",
    "adaptive, no labels",
    "pooled quantiles, all pixels",
    "histogram-matching-all-pixels",
)


def run(seed: int, folder: Path) -> tuple[list[list[str]], str]:
    """Rows of one draw, and the oracle's AUC."""
    bench = responses.set_up(responses_data.UNSEEN, seed, folder, 1.0)
    test = np.array([bench.world.classes.index(image.label) for image in bench.world.tests["test"]])
    population = next(iter(bench.world.populations))
    rows, auc = [], ""
    for response in (*RESPONSES, *responses_data.BY_IMAGE):
        cell = responses.run_cell(bench, population, response)
        auc = f"{macro_auc(test, cell['scores']['oracle'].astype(np.float64)).item():.2f}"
        hits = {name: cell["scores"][name].argmax(1) == test for name in METHODS}
        worst = [min(hit[test == k].mean() for k in np.unique(test)) for hit in hits.values()]
        rows.append([str(seed), response, *(f"{share:.3f}" for share in worst)])
        print(*rows[-1], flush=True)
    return rows, auc


def means(rows: list[list[str]]) -> list[str]:
    columns = np.array([row[2:] for row in rows], float)
    return [f"{mean:.3f}" for mean in columns.mean(0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    responses_data.RESPONSES |= RESPONSES
    responses.IMAGE_SIZE[responses_data.UNSEEN] = responses.IMAGE_SIZE["kermany"]
    found = {seed: run(seed, HERE / "out" / "unseen") for seed in options.seeds}
    averaged = [
        [str(seed), name, *means([row for row in rows if (row[1] in RESPONSES) == fixed])]
        for seed, (rows, _) in found.items()
        for name, fixed in (("mean, one function", True), ("mean, image by image", False))
    ]
    parts = [
        "# A task that nothing was chosen on",
        "By `benchmarks/unseen.py`: bacterial against viral pneumonia (Kermany et al.), worst-group accuracy on 240 "
        f"test images; AUC of the oracle {', '.join(auc for _, auc in found.values())}. What it shows is in "
        "[the results](results.md#a-task-that-nothing-was-chosen-on).",
        table(["draw", "response", *METHODS], averaged),
        table(["draw", "response", *METHODS], [row for rows, _ in found.values() for row in rows]),
    ]
    write_text(HERE.parent / "docs" / "results_unseen.md", "\n\n".join(part.rstrip() for part in parts) + "\n")


if __name__ == "__main__":
    main()
