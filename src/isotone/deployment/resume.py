"""Many images, each to its file: what an earlier run did is kept, what is new or changed is done."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from isotone._runtime.disk_set import DiskSet
from isotone._runtime.journal import Entry, Journal
from isotone.data.images import time_limit
from isotone.deployment.deliver import Job, Outcome, safe_target
from isotone.deployment.job_table import Chosen, JobTable
from isotone.errors import IsotoneError, RadiographError
from isotone.imaging.inspect import duplicate

Run = Callable[..., Generator[tuple[Any, Any], None, None]]
"""Calls a function on items in processes: (function, items, label, time limit) → pairs of item and result."""
PASSING = ("E_READ", "E_WRITE")
"""Refusals that say nothing of the image: what an earlier run made of it stays."""
FRESH, DELIVERED, TWICE = 0, 1, 2
"""To be done; done by an earlier run; found to be another image's duplicate by an earlier run."""


class Result(NamedTuple):
    """What became of one image, in which file, and whether by an earlier run."""

    job: Job
    outcome: Outcome | IsotoneError
    target: str = ""
    resumed: bool = False

    def to_json(self) -> dict[str, object]:
        """The fields of an image in the output for programs (``docs/json.md``)."""
        outcome, path = self.outcome, str(self.job.path)
        if isinstance(outcome, IsotoneError):
            return outcome.to_json() | {"path": path, "domain": self.job.domain}
        fine = {"path": path, "status": outcome.status, "code": None, "message": None, "next_step": None}
        return fine | {
            "domain": self.job.domain,
            "resumed": self.resumed,
            "output": self.target or None,
            "coefficients": outcome.coefficients,
            "levels_kept": outcome.levels_kept,
            "clipped_share": outcome.clipped_share,
            "warnings": list(outcome.warnings),
        }


Results = Generator[Result, None, None]


class Place(Protocol):
    """Where the images of a delivery lie: `Files`, or the rows of one."""

    def has(self, target: str | None) -> bool:
        """Whether what the journal names is there."""
        ...

    def put(self, job: Job, result: Any, before: str | None) -> str | None:
        """Put an image there, in the place that it had `before`; what the journal is to name, None: nothing.

        Raises
        ------
        IsotoneError
            E_WRITE, E_WRITTEN.
        """
        ...

    def drop(self, target: str | None) -> None:
        """Take away what an earlier run put there."""
        ...


@dataclass(frozen=True)
class Files:
    """A file for each image, which the process that read it has written."""

    output: Path
    writes: Callable[[Outcome], bool]

    def has(self, target: str | None) -> bool:
        return is_written(self.output, target)

    def put(self, job: Job, result: Any, before: str | None) -> str | None:
        target = job.target if self.writes(result) else None
        if before != target:
            self.drop(before)
        return target

    def drop(self, target: str | None) -> None:
        take_away(self.output, target)


def deliver_one_by_one(
    delivery: Callable[[Job], Any], place: Place, jobs: JobTable, journal: Journal, run: Run
) -> Results:
    """Each image to its own place, in the order of the jobs."""
    known, owned = _done_before(jobs, journal, place)
    todo = Chosen(jobs, bytearray(state == FRESH for state in known))
    with closing(run(delivery, todo, "harmonizing", time_limit)) as fresh:
        for job, state in zip(jobs, known, strict=True):
            if state == FRESH:
                yield _noted(job, next(fresh)[1], owned, place, journal)
                continue
            journal.see(job.source)
            entry = journal.find(job.source)
            outcome = outcome_in(entry)
            if state == TWICE or entry is None or outcome is None:
                yield Result(job, duplicate(job.path))
            else:
                yield Result(job, outcome, entry.target or "", True)


def outcome_in(entry: Entry | None) -> Outcome | None:
    """The outcome of an entry; None where there is none that can be read."""
    if entry is None:
        return None
    try:
        return Outcome.from_entry(entry.body)
    except (IsotoneError, TypeError, ValueError, AttributeError):  # somebody changed it
        return None


def is_written(output: Path, target: str | None) -> bool:
    """Whether an output file is there, and no link in its place."""
    with suppress(RadiographError):
        return target is not None and safe_target(output, target).exists()
    return False


def take_away(output: Path, target: str | None) -> None:
    """Take away a file that an earlier run wrote, if it is there."""
    if target is not None:
        with suppress(OSError, RadiographError):  # open in a viewer (Windows), or a link by now
            safe_target(output, target).unlink(missing_ok=True)


def note_refusal(job: Job, error: IsotoneError, journal: Journal, *, instance: str | None = None) -> str | None:
    """Note that an image is refused; the file that it had until now, which is to be taken away.

    A passing trouble changes nothing of what the journal has.
    """
    entry = journal.find(job.source)
    before = outcome_in(entry)
    if error.code in PASSING and before is not None and before.status != "refused":
        journal.see(job.source)
        return None
    said, _ = Outcome("refused", instance=instance, code=error.code).to_entry()
    journal.note(job.source, job.key, job.path, said)
    return None if entry is None else entry.target


def _done_before(jobs: JobTable, journal: Journal, place: Place) -> tuple[bytearray, DiskSet]:
    """What is known of each image, and the instances (`Outcome.instance`) that have a file."""
    known, owned = bytearray(len(jobs)), DiskSet()
    twice: dict[int, str] = {}
    for number, (source, key) in enumerate(jobs.states()):
        entry = journal.find(source)
        outcome = outcome_in(entry)
        if entry is None or outcome is None or not entry.has(key):
            continue
        if outcome.code == "E_DUPLICATE" and outcome.instance is not None:
            twice[number] = outcome.instance
        elif outcome.status != "refused" and (entry.target is None or place.has(entry.target)):
            if outcome.instance is not None:
                if outcome.instance in owned:  # another part of the run has it, too: it is found to be a duplicate
                    continue
                owned.add(outcome.instance)
            known[number] = DELIVERED
    for number, instance in twice.items():
        known[number] = TWICE if instance in owned else FRESH
    return known, owned


def _noted(job: Job, result: Any, owned: DiskSet, place: Place, journal: Journal) -> Result:
    """Note what was done now, after what an earlier run did in its place was taken away."""
    if isinstance(result, IsotoneError):
        place.drop(note_refusal(job, result, journal))
        return Result(job, result)
    outcome: Outcome = result if isinstance(result, Outcome) else result.outcome
    if outcome.instance is not None and outcome.instance in owned:
        place.drop(job.target)
        again = duplicate(job.path)
        place.drop(note_refusal(job, again, journal, instance=outcome.instance))
        return Result(job, again)
    before = journal.find(job.source)
    try:
        target = place.put(job, result, None if before is None else before.target)
    except IsotoneError as error:
        place.drop(note_refusal(job, error, journal))
        return Result(job, error)
    if outcome.instance is not None:
        owned.add(outcome.instance)
    said, alike = outcome.to_entry()
    journal.note(job.source, job.key, job.path, said, target=target, shared=alike)
    return Result(job, outcome, target or "")
