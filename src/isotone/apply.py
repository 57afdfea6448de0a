"""Many files → many files: a harmonizer applied to images, in crash-isolated processes or on anybody's executor."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
from rich.console import Console

from isotone._version import __version__
from isotone.check import Watch
from isotone.curves import ToneCurve
from isotone.data.images import SECONDS, progress, time_limit
from isotone.data.manifest import Manifest
from isotone.errors import IsotoneError, RadiographError, UsageError
from isotone.export.deliver import Delivery, Job, Outcome, safe_target
from isotone.export.deliver_states import Group, Planned, StateDelivery, Survey
from isotone.export.plan import digest_of, plan
from isotone.export.record import Deliver
from isotone.export.reduced import Trial, agreed, to_try
from isotone.export.table import COLUMNS, CURVES
from isotone.files import replace_file
from isotone.guards import check_guards
from isotone.harmonizer import ToneCurveHarmonizer
from isotone.imaging.inspect import duplicate
from isotone.journal import Entries, open_journal
from isotone.safe_text import inert, printable
from isotone.workers import map_isolated

Run = Callable[..., Generator[tuple[Any, Any], None, None]]
"""Calls a function on items in processes: (function, items, label, time limit) → pairs of item and result."""


class Result(NamedTuple):
    """What became of one image, in which file, and whether by an earlier run."""

    job: Job
    outcome: Outcome | IsotoneError
    target: str = ""
    resumed: bool = False


Results = Generator[Result, None, None]
PASSING = ("E_READ", "E_WRITE")
"""Refusals that say nothing of the image."""


@dataclass
class ApplyReport:
    """What `apply` did.

    Attributes
    ----------
    harmonized, reference, resumed : int
        Images harmonized and reference images passed through by this run; images of an earlier run.
    refused : list of IsotoneError
        Each names its file.
    curves : Path
        The table of every image.
    warnings : list of str
        ``W_BATCH: …``, one for each domain whose images as a whole differ from those of the fit (`isotone.check`);
        ``W_NO_LOOK: …`` where images were not compared, since presentation states needed no pixel or not all of them.
    """

    curves: Path
    harmonized: int = 0
    reference: int = 0
    resumed: int = 0
    refused: list[IsotoneError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """One line."""
        return (
            f"{self.harmonized} harmonized, {self.reference} reference, {self.resumed} resumed, "
            f"{len(self.refused)} refused: {printable(self.curves)}"
        )


def apply(
    harmonizer: ToneCurveHarmonizer,
    manifest: Manifest,
    output: str | Path,
    *,
    deliver: Deliver = "pixels",
    workers: int = 1,
    executor: Executor | None = None,
    allow: Collection[str] = (),
    force: bool = False,
    quiet: bool = False,
) -> ApplyReport:
    """Harmonize the images of a manifest into a folder that mirrors theirs.

    Reference images are copied as they are (`deliver` "pixels") or left where they are. What is refused is named and
    the rest done. The same call again resumes after the last finished image.

    Parameters
    ----------
    harmonizer : ToneCurveHarmonizer
    manifest : Manifest
        Paths, and domains where the headers lack them; images that lie in `output` are left out.
    output : path
        Gets the images, ``curves.csv`` and ``journal.jsonl``.
    deliver : {"pixels", "voi-lut", "gsps"}
        Derived DICOM images, or 16-bit PNG for raster files; copies with a VOI LUT; presentation states.
    workers : int
        Number of processes; 0: in this one.
    executor : concurrent.futures.Executor, optional
        Runs the work in place of the pool of processes; it needs the same file system.
    allow : collection of str
        Guards to overrule, so that curves are applied to data that they were not fitted on (`isotone.guards`).
    force : bool
        Use the output folder whatever is in it.
    quiet : bool
        No progress bar, nor a line for each file where standard error is no terminal.

    Raises
    ------
    UsageError
        An unknown delivery or guard, or the output folder is in use or holds something else.
    IsotoneError
        E_WRITE: the output folder cannot be written to.
    """
    if deliver not in get_args(Deliver):
        raise UsageError(f"unknown delivery {deliver!r}", next_step="Use pixels, voi-lut or gsps.")
    check_guards(allow)
    output = Path(output)
    jobs = plan(manifest, output, harmonizer.reference_domains, deliver)
    model = {"version": __version__, "harmonizer": harmonizer.digest, "deliver": deliver}

    def run(
        function: Callable[[Any], Any], items: Sequence[Any], label: str, seconds: Any
    ) -> Generator[Any, None, None]:
        results = map_isolated(function, items, workers=workers, executor=executor, seconds=seconds)
        return progress(results, len(items), label=label, quiet=quiet)

    with open_journal(output, model, digest_of(manifest, output), force=force) as entries:
        if deliver == "gsps":
            results = _deliver_states(StateDelivery(harmonizer, output), allow, jobs, entries, run)
        else:
            results = _deliver_files(Delivery(harmonizer, output, deliver, frozenset(allow)), jobs, entries, run)
        watch = Watch(harmonizer)
        unseen: list[Job] = []
        with closing(results):
            report = _tabulate(
                _swept(_watched(results, watch, unseen), output, entries),
                output,
                aloud=not quiet and not Console(stderr=True).is_terminal,
            )
        report.warnings += [f"W_BATCH: {v.line}" for v in watch.verdicts() if v.differences]
        unseen = [job for job in unseen if job.domain in harmonizer.gates]
        if unseen and "look" not in allow:
            report.warnings.append(
                f"W_NO_LOOK: {len(unseen)} images were not decoded, or not in full, and so not compared with those of "
                "the fit; isotone check does that"
            )
        return report


def _watched(results: Results, watch: Watch, unseen: list[Job]) -> Results:
    """Show the results as they come to whoever compares them with the fit as a whole; list what has no look."""
    for result in results:
        outcome = result.outcome
        if isinstance(outcome, IsotoneError):
            watch.refuse(result.job.domain, outcome)
        elif outcome.look is not None:
            watch.add(result.job.domain, np.array(outcome.look))
        elif outcome.status == "harmonized":
            unseen.append(result.job)
        yield result


def _swept(results: Results, output: Path, entries: Entries) -> Results:
    """Pass the results on; then take away the files of earlier runs that none of them is in.

    An image that cannot be read now, or a disk that is full, may be a passing trouble: then all is left as it is.
    """
    superseded, trouble = set(entries.written), False
    for result in results:
        superseded.discard(result.target)
        trouble |= isinstance(result.outcome, IsotoneError) and result.outcome.code in PASSING
        yield result
    if not trouble:
        for target in superseded:
            with suppress(OSError, RadiographError):  # open in a viewer (Windows), or behind a link that leads out
                safe_target(output, target).unlink(missing_ok=True)


def _deliver_files(delivery: Delivery, jobs: list[Job], entries: Entries, run: Run) -> Results:
    """One file for each image."""
    output = delivery.output
    resumed = _done_before(jobs, entries, delivery)
    todo = [job for job in jobs if job.key not in resumed]
    seen: set[str] = set()
    with closing(run(delivery, todo, "harmonizing", time_limit)) as fresh:
        for job in jobs:
            old = job.key in resumed
            outcome = Outcome.from_entry(entries[job.key]) if old else next(fresh)[1]
            if isinstance(outcome, IsotoneError):
                yield Result(job, outcome)
            elif _met_before(outcome, seen):
                (output / job.target).unlink(missing_ok=True)
                yield Result(job, duplicate(job.path))
            else:
                yield Result(job, outcome, job.target if delivery.writes(outcome) else "", old)


def _done_before(jobs: list[Job], entries: Entries, delivery: Delivery) -> set[str]:
    """Keys of the images that an earlier run finished, and whose file, where they have one, still exists.

    The file of a duplicate was taken away again.
    """
    done: set[str] = set()
    seen: set[str] = set()
    for job in jobs:
        if job.key not in entries:
            continue
        outcome = Outcome.from_entry(entries[job.key])
        if _met_before(outcome, seen) or not delivery.writes(outcome) or (delivery.output / job.target).exists():
            done.add(job.key)
    return done


def _deliver_states(
    delivery: StateDelivery, allow: Collection[str], jobs: list[Job], entries: Entries, run: Run
) -> Results:
    """Presentation states: a curve for each image, then a file for each group of images."""
    trials = to_try(delivery.harmonizer, jobs)
    reduced: dict[str | None, int] = {}
    if trials:
        with closing(run(Trial(delivery.harmonizer), trials, "comparing", time_limit)) as tried:
            reduced = agreed(tried)
    seen: set[str] = set()
    surveyed: list[tuple[Job, str | None, Outcome | IsotoneError]] = []
    members: dict[str, list[tuple[Job, ToneCurve]]] = {}
    with closing(run(Survey(delivery.harmonizer, frozenset(allow), reduced), jobs, "reading", time_limit)) as found:
        for job, planned in found:
            if isinstance(planned, Planned) and _met_before(planned.outcome, seen):
                planned = duplicate(job.path)
            if isinstance(planned, IsotoneError):
                surveyed.append((job, None, planned))
                continue
            surveyed.append((job, planned.group, planned.outcome))
            if planned.group is not None:
                members.setdefault(planned.group, []).append((job, planned.outcome.curve or ToneCurve()))
    groups = {name: Group.of(name, images, number) for number, (name, images) in enumerate(members.items(), 1)}
    resumed = {g.key for g in groups.values() if g.key in entries and (delivery.output / g.target).exists()}
    todo = [group for group in groups.values() if group.key not in resumed]
    failed: dict[str, IsotoneError] = {}
    with closing(run(delivery, todo, "writing", lambda group: SECONDS + len(group.images))) as fresh:
        for group, result in fresh:
            if isinstance(result, IsotoneError):
                result = {job.key: _same_refusal(result, job) for job, _ in group.images}
            failed |= result
    for job, name, outcome in surveyed:
        if name is None:
            yield Result(job, outcome)
        elif job.key in failed:
            yield Result(job, failed[job.key])
        else:
            group = groups[name]
            yield Result(job, outcome, group.target, group.key in resumed)


def _met_before(outcome: Outcome, seen: set[str]) -> bool:
    """Whether an earlier image has the same SOP Instance UID; an archive would keep one of them."""
    if outcome.instance is None:
        return False
    before = outcome.instance in seen
    seen.add(outcome.instance)
    return before


def _same_refusal(error: IsotoneError, job: Job) -> IsotoneError:
    return RadiographError(error.code, error.what, file=job.path, next_step=error.next_step)


def _tabulate(results: Iterable[Result], output: Path, *, aloud: bool) -> ApplyReport:
    """Count, and write the table as the results come; `aloud` also prints a plain line for each file done."""
    report = ApplyReport(output / CURVES)
    with replace_file(report.curves) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for result in results:
            if isinstance(result.outcome, IsotoneError):
                report.refused.append(result.outcome)
            elif result.resumed:
                report.resumed += 1
            elif result.outcome.status == "reference":
                report.reference += 1
            else:
                report.harmonized += 1
            if aloud and not isinstance(result.outcome, IsotoneError):
                status = "resumed" if result.resumed else result.outcome.status
                print(f"{printable(result.job.path)}: {status}", flush=True)
            writer.writerow([inert(cell) for cell in _cells(result)])
    return report


def _cells(result: Result) -> list[object]:
    path, outcome = str(result.job.path), result.outcome
    if isinstance(outcome, IsotoneError):
        return [path, "refused", outcome.code, *[""] * (len(COLUMNS) - 3)]
    coefficients = "" if outcome.curve is None else json.dumps(outcome.curve.coefficients)
    numbers = [f"{number:.6g}" for number in (outcome.min_slope, outcome.max_slope)]
    kept = "" if outcome.levels_kept is None else outcome.levels_kept
    clipped, warnings = f"{outcome.clipped_share:.6g}", " ".join(outcome.warnings)
    return [path, outcome.status, "", coefficients, *numbers, kept, clipped, warnings, result.target]
