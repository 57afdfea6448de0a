"""The plan of a run lies on the disk."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np

from isotone._runtime.disk_set import DiskSet
from isotone._runtime.journal import open_journal
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.deliver import Job
from isotone.deployment.job_table import Chosen, JobTable
from isotone.deployment.plan import Inputs, plan

JOBS = [
    Job(Path("a/1.dcm"), "Alder", "1.dcm", "0" * 32, None, "1" * 32),
    Job(Path("a/b\udcff.png"), None, "b\udcff.png", "2" * 32, True, "3" * 32),
    Job(Path("/c"), "Birch\udcff", "c", "4" * 32, False, "5" * 32),
]


def test_jobs_come_back_as_they_were_and_in_their_order() -> None:
    table = JobTable()
    for job in JOBS:
        table.add(job)
    assert list(table) == list(table) == JOBS
    chosen = Chosen(table, bytearray([1, 0, 1]))
    assert (list(chosen), len(chosen)) == ([JOBS[0], JOBS[2]], 2)


def test_a_set_on_the_disk_holds_any_file_name() -> None:
    names = DiskSet(["a", "b\udcff"])
    names.add("a")
    assert [name in names for name in ("a", "b\udcff", "b", None)] == [True, True, False, False]


def test_a_plan_keeps_no_row_in_memory(tmp_path: Path) -> None:
    rows = 3000
    manifest = Manifest({"path": [f"{i}.dcm" for i in range(rows)], "domain": ["Alder"] * rows})
    with open_journal(tmp_path / "out", {}) as journal:
        inputs = Inputs(manifest, tmp_path / "out")
        tracemalloc.start()
        jobs = plan(inputs, (), "voi-lut", journal)
        used = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    assert len(jobs) == rows
    assert used < 50 * rows  # a Job alone has 500 bytes
    assert np.unique([job.target for job in jobs]).size == rows
