"""The jobs of a run, on the disk: a million of them in the memory of a few thousand."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from itertools import compress
from pathlib import Path

from isotone.deployment.deliver import Job


class JobTable:
    """Jobs in their order, in a temporary file of SQLite's that goes with the table; each pass makes them anew."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")
        self._db.execute("CREATE TABLE jobs (path, domain, target, key, inverted, source)")
        self._count = 0

    def add(self, job: Job) -> None:
        """Put a job behind the others."""
        domain = None if job.domain is None else job.domain.encode(errors="surrogateescape")
        values = (os.fsencode(job.path), domain, os.fsencode(job.target), job.key, job.inverted, job.source)
        self._db.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?)", values)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def targets(self) -> Iterator[str]:
        """The output file of each job."""
        for (target,) in self._db.execute("SELECT target FROM jobs ORDER BY rowid"):
            yield os.fsdecode(target)

    def states(self) -> Iterator[tuple[str, str]]:
        """`Job.source` and `Job.key` of each."""
        yield from self._db.execute("SELECT source, key FROM jobs ORDER BY rowid")

    def __iter__(self) -> Iterator[Job]:
        for path, domain, target, key, inverted, source in self._db.execute("SELECT * FROM jobs ORDER BY rowid"):
            name = None if domain is None else domain.decode(errors="surrogateescape")
            stated = None if inverted is None else bool(inverted)
            yield Job(Path(os.fsdecode(path)), name, os.fsdecode(target), key, stated, source)


class Chosen:
    """Some of the jobs, in their order.

    Parameters
    ----------
    jobs : JobTable
    which : bytearray
        Of each job 1 if it is one of them, else 0.
    """

    def __init__(self, jobs: JobTable, which: bytearray) -> None:
        self._jobs, self._which = jobs, which

    def __len__(self) -> int:
        return self._which.count(1)

    def __iter__(self) -> Iterator[Job]:
        return compress(self._jobs, self._which)
