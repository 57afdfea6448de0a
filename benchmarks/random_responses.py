"""Responses, class mixes and numbers of images that a random generator chose, not we.

Every cell is a monotone curve through five random points, on a random range of grey levels, before 25 to 200 images of
a random class mix, three in ten of them in the smaller field of view. Worst-group accuracy of every method on the same
test images.

    python -m benchmarks.random_responses [--seeds 0 1 2 3 4 5] [--anatomies nih]    # writes docs/results_random.md

What a draw found is kept in `benchmarks/out/random` and not computed again; delete it to have it again.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator

from benchmarks import responses, responses_data
from benchmarks.responses_table import table
from isotone._runtime.files import write_text

HERE = Path(__file__).resolve().parent
CELLS = 12
METHODS = (
    "none",
    "oracle",
    "scanner, labels",
    "scanner, no labels",
    "adaptive, no labels",
    "pooled quantiles, all pixels",
    "histogram-matching",
    "histogram-matching-all-pixels",
    "nyul",
)


def random_response(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """A smooth monotone curve of six pieces, the steepest of which may be a hundred times as steep as the flattest."""
    rise = np.concatenate([[0.0], np.cumsum(rng.dirichlet(np.full(6, 1.5)))])
    low = rng.uniform(0, 0.15) * (rng.random() < 0.6)
    high = rng.uniform(low + 0.3, 1)
    return PchipInterpolator(np.linspace(0, 1, 7), low + (high - low) * np.clip(rise, 0, 1))


def draw_cells(bench: responses.Bench, anatomy: str, seed: int, cells: int) -> Iterator[tuple[str, str, str]]:
    """Put random responses and populations into the benchmark's; yield their names and the test images'."""
    rng, world = np.random.default_rng([77, seed, len(anatomy)]), bench.world
    pools = {"test": list(world.populations[next(iter(world.populations))][0])}
    pools["test, small field"] = world.populations["smaller field"][0]
    for more in ("A and D only", "B and C only") if anatomy == "phantom" else ():
        pools["test"] += world.populations[more][0]
    for cell in range(cells):
        response, population = f"response {cell}", f"population {cell}"
        responses_data.RESPONSES[response] = random_response(rng)
        test = "test" if rng.random() < 0.7 else "test, small field"
        number = int(rng.choice([25, 50, 100, 200]))
        counts = rng.multinomial(number, rng.dirichlet(np.ones(len(world.classes))))
        chosen = []
        for label, count in zip(world.classes, counts, strict=True):
            own = [image for image in pools[test] if image.label == label]
            chosen += [own[i] for i in rng.permutation(len(own))[:count]]
        world.populations[population] = (chosen, test)
        yield response, population, test


def run(anatomy: str, seed: int, folder: Path) -> list[list[str]]:
    """A row for each cell of a draw."""
    kept = folder / "random" / f"{anatomy} {seed}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    bench = responses.set_up(anatomy, seed, folder / "responses", 1.0)
    rows = []
    for response, population, test in draw_cells(bench, anatomy, seed, CELLS):
        scores = responses.run_cell(bench, population, response)["scores"]
        label = np.array([bench.world.classes.index(image.label) for image in bench.world.tests[test]])
        hits = [scores[name].argmax(1) == label for name in METHODS]
        worst = [min(hit[label == k].mean() for k in np.unique(label)) for hit in hits]
        images, field = str(len(bench.world.populations[population][0])), "small" if "small" in test else "full"
        rows.append([anatomy, str(seed), images, field, *(f"{share:.3f}" for share in worst)])
        print(*rows[-1], flush=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_text(kept, json.dumps(rows))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(6)))
    parser.add_argument("--anatomies", nargs="+", default=list(responses.IMAGE_SIZE))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, averaged = [], []
    for anatomy in options.anatomies:
        for seed in options.seeds:
            found = run(anatomy, seed, HERE / "out")
            rows += found
            for field in ("full", "small"):
                chosen = np.array([row[4:] for row in found if row[3] == field], float).reshape(-1, len(METHODS))
                if len(chosen):
                    means = [f"{mean:.3f}" for mean in chosen.mean(0)]
                    averaged.append([anatomy, str(seed), str(len(chosen)), field, *means])
    parts = [
        "# Responses at random",
        "By `benchmarks/random_responses.py`: worst-group accuracy behind random monotone curves, class mixes and "
        "numbers of images. What it shows is in [the results](results.md#responses-that-nobody-chose).",
        table(["anatomy", "draw", "cells", "field", *METHODS], averaged),
        table(["anatomy", "draw", "images", "field", *METHODS], rows),
    ]
    write_text(HERE.parent / "docs" / "results_random.md", "\n\n".join(part.rstrip() for part in parts) + "\n")


if __name__ == "__main__":
    main()
