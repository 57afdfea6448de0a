"""The plan of a run lies on the disk."""

from __future__ import annotations

import hashlib
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from isotone._runtime.disk_set import DiskSet
from isotone._runtime.journal import JOURNAL, open_journal
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
    assert list(table.targets()) == [job.target for job in JOBS]
    assert list(table.states()) == [(job.source, job.key) for job in JOBS]
    chosen = Chosen(table, bytearray([1, 0, 1]))
    assert (list(chosen), len(chosen)) == ([JOBS[0], JOBS[2]], 2)


def test_the_pages_of_a_journal_are_full(tmp_path: Path) -> None:
    with open_journal(tmp_path, {}) as journal:
        for i in range(1000):
            source = hashlib.sha256(str(i).encode()).hexdigest()
            journal.note(source, source, f"a/{i}.dcm", {"status": source * 2}, target=f"{i}.dcm")
    before = (tmp_path / JOURNAL).stat().st_size
    with closing(sqlite3.connect(tmp_path / JOURNAL)) as db:
        db.execute("VACUUM")
    assert before < 1.15 * (tmp_path / JOURNAL).stat().st_size


def test_an_entry_without_its_body_names_the_file(tmp_path: Path) -> None:
    with open_journal(tmp_path, {}) as journal:
        journal.note("1" * 32, "2" * 32, "a/1.dcm", {"status": "harmonized"}, target="b/1.dcm", shared={"curve": "x"})
        whole, short = journal.find("1" * 32), journal.find("1" * 32, whole=False)
    assert whole is not None
    assert short == whole._replace(body={})


def test_a_set_on_the_disk_holds_any_file_name() -> None:
    names = DiskSet(["a", "b\udcff"])
    names.add("a")
    assert [name in names for name in ("a", "b\udcff", "b", None)] == [True, True, False, False]


@pytest.mark.slow
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
