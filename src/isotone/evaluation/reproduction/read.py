"""The images of a collection: drawn, read from the untouched download, or listed by a manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from isotone.data.cohorts.cohort import Cohort
from isotone.data.cohorts.embed import embed_cohort
from isotone.data.cohorts.nih import nih_cohort
from isotone.data.cohorts.rsna import rsna_cohort
from isotone.data.manifests.manifest import Manifest
from isotone.data.manifests.table import letters, read_table
from isotone.data.phantom.make_phantom import make_phantom
from isotone.errors import UsageError
from isotone.evaluation.reproduction.plan import Plan

PER_CELL = 500
"""Patients per domain and label, as in the paper's Table 1."""
QUICK = (300, 100)
"""Images per label of the reference, and of a source, with `Plan.quick`."""
PATIENTS, ROWS = {True: 360, False: 2400}, {True: 128, False: 640}
"""Of the phantom, with `Plan.quick` and without."""


def read_collection(plan: Plan, output: Path, *, workers: int, quiet: bool) -> tuple[Manifest, list[str]]:
    """The labelled images of a plan's domains, and what to know of them, one line each.

    Parameters
    ----------
    plan : Plan
        Its `data` is a manifest, a folder with ``manifest.csv``, or the download as published: a folder, or the
        table of nih or the labels of rsna beside the images.
    output : Path
        Where the phantom is drawn, into a folder of its own.
    workers : int
    quiet : bool

    Raises
    ------
    UsageError
        What is missing, and where to get it.
    """
    if plan.collection == "phantom":
        patients, rows = PATIENTS[plan.quick], ROWS[plan.quick]
        folder = output / f"phantom-{patients}-{rows}-{plan.seed}"
        return make_phantom(folder, patients=patients, size=rows, seed=plan.seed, workers=workers, quiet=quiet), []
    data = require_data(plan)
    listed = data / "manifest.csv" if data.is_dir() else data
    if listed.is_file() and "path" in map(letters, read_table(listed).columns):
        manifest, notes = Manifest.read(listed), []
    else:
        cohort = _published(plan, data, workers, quiet)
        manifest, notes = cohort.manifest, list(cohort.notes)
    manifest = manifest.select(domains=[plan.about.reference, *plan.about.sources], labelled=True)
    if not any(row.path.is_file() for row in manifest):
        raise UsageError("none of its images is here", code="E_READ", file=data, next_step=plan.about.needs)
    return (_fewer(manifest, plan) if plan.quick else manifest), notes


def require_data(plan: Plan) -> Path:
    """The download or manifest of a collection that is not drawn.

    Raises
    ------
    UsageError
        E_READ: none was given, or it is not there; the message says where to get it.
    """
    if plan.data is None or not plan.data.exists():
        what = f"the data of {plan.collection} are needed" if plan.data is None else "no such file or folder"
        raise UsageError(what, code="E_READ", file=plan.data, next_step=plan.about.needs)
    return plan.data


def _published(plan: Plan, data: Path, workers: int, quiet: bool) -> Cohort:
    match plan.collection:
        case "embed":
            return embed_cohort(data, per_cell=PER_CELL, seed=plan.seed)
        case "nih":
            table = _first(data, "Data_Entry_2017_v2020.csv", "Data_Entry_2017_v2020.csv.gz")
            return nih_cohort(table, per_cell=PER_CELL, seed=plan.seed)
        case _:
            labels = _first(data, "stage_2_train_labels.csv", "stage_2_train_labels.csv.zip")
            return rsna_cohort(labels, per_cell=PER_CELL, seed=plan.seed, workers=workers, quiet=quiet)


def _first(data: Path, *names: str) -> Path:
    """The table itself, or the first of its names that the folder has; the first name where it has none."""
    found = (data / name for name in names if (data / name).is_file())
    return next(found, data / names[0]) if data.is_dir() else data


def _fewer(manifest: Manifest, plan: Plan) -> Manifest:
    """At most `QUICK` images of a domain and label."""
    table = manifest.table
    shuffled = table.iloc[np.random.default_rng(plan.seed).permutation(len(table))]
    rank = shuffled.groupby(["domain", "label"]).cumcount()
    most = np.where(shuffled["domain"] == plan.about.reference, *QUICK)
    return Manifest(shuffled[rank < most].sort_index())
