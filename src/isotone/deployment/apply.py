"""Many files → many files: a harmonizer applied to images, in crash-isolated processes or on anybody's executor."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from rich.console import Console

from isotone._runtime.files import replace_file
from isotone._runtime.journal import Entry, Journal, open_journal
from isotone._runtime.workers import map_isolated
from isotone.data.images import progress
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.check import Watch
from isotone.deployment.curves_table import COLUMNS, CURVES, inputs_by_output, refuse_foreign_table
from isotone.deployment.deliver import Delivery, Job, Outcome
from isotone.deployment.deliver_states import StateDelivery
from isotone.deployment.encoding import USUAL, Encoding
from isotone.deployment.plan import Inputs, plan
from isotone.deployment.record import Deliver
from isotone.deployment.resized import Resizing
from isotone.deployment.resume import Files, Result, Results, deliver_one_by_one, outcome_in
from isotone.deployment.resume_states import deliver_states
from isotone.deployment.row_file import RowFile
from isotone.errors import IsotoneError, UsageError
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.monitoring.guards import check_guards
from isotone.safe_text import inert, printable

GONE = "gone"
"""Status of an image of an earlier run that is not among those of this one; its file stays."""


@dataclass
class ApplyReport:
    """What `apply` did.

    Attributes
    ----------
    harmonized, reference, resumed : int
        Images harmonized and reference images passed through by this run; images that an earlier run had done.
    gone : int
        Images of earlier runs that are not among those of this one: their files and their lines in the table stay.
    refused : list of IsotoneError
        Each names its file.
    curves : Path
        The table of every image.
    warnings : list of str
        ``W_BATCH: …``, one for each domain whose images as a whole differ from those of the fit
        (`isotone.deployment.check`); ``W_NO_LOOK: …`` where images were not compared, since presentation states needed
        no pixel or not all of them.
    """

    curves: Path
    harmonized: int = 0
    reference: int = 0
    resumed: int = 0
    gone: int = 0
    refused: list[IsotoneError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """The counts in the output for programs (``docs/json.md``)."""
        counts = {name: getattr(self, name) for name in ("harmonized", "reference", "resumed")}
        refused = len(self.refused)
        return {
            "images": sum(counts.values()) + refused,
            **counts,
            "refused": refused,
            "gone": self.gone,
            "warnings": self.warnings,
            "table": str(self.curves),
            "exit_code": int(refused > 0),
        }

    def summary(self) -> str:
        """One line."""
        gone = f", {self.gone} gone" if self.gone else ""
        return (
            f"{self.harmonized} harmonized, {self.reference} reference, {self.resumed} resumed, "
            f"{len(self.refused)} refused{gone}: {printable(self.curves)}"
        )


def apply(
    harmonizer: ToneCurveHarmonizer,
    manifest: Manifest,
    output: str | Path,
    *,
    deliver: Deliver = "pixels",
    encoding: Encoding = USUAL,
    workers: int = 1,
    executor: Executor | None = None,
    allow: Collection[str] = (),
    force: bool = False,
    quiet: bool = False,
    on_result: Callable[[Result], None] | None = None,
) -> ApplyReport:
    """Harmonize the images of a manifest into a folder that mirrors theirs.

    Reference images are copied as they are (`deliver` "pixels") or left where they are. What is refused is named and
    the rest done. The same model and delivery into the same folder again, with whatever images, do those that are new
    or changed and keep the rest.

    Parameters
    ----------
    harmonizer : ToneCurveHarmonizer
    manifest : Manifest
        Paths, and domains where the headers lack them; images that lie in `output` are left out.
    output : path
        Gets the images, ``curves.csv`` and ``journal.sqlite``.
    deliver : {"pixels", "voi-lut", "gsps", "png", "npy"}
        Derived DICOM images, or PNG for raster files; copies with a VOI LUT; presentation states; for training, resized
        images of 16 bits as PNG, or as one array (`isotone.deployment.row_file`) of which ``index.csv`` lists the rows.
    encoding : Encoding, optional
        Compression and bits of pixels, size of resized images.
    workers : int
        Number of processes; 0: in this one.
    executor : concurrent.futures.Executor, optional
        Runs the work in place of the pool of processes; it needs the same file system.
    allow : collection of str
        Guards to overrule, so that curves are applied to data that they were not fitted on
        (`isotone.monitoring.guards`).
    force : bool
        Use the output folder whatever is in it.
    quiet : bool
        No progress bar, nor a line for each file where standard error is no terminal.
    on_result : callable, optional
        Gets what became of each image as it is known, in the place of that line (`isotone.deployment.resume.Result`).

    Raises
    ------
    UsageError
        An unknown delivery or guard, or the output folder is in use or holds something else.
    IsotoneError
        E_WRITE: the output folder cannot be written to.

    Examples
    --------
    >>> import isotone
    >>> manifest = isotone.Manifest.read("phantom/manifest.csv").select(domains=["Birch Mammo Two"], splits=["test"])
    >>> harmonizer = isotone.ToneCurveHarmonizer.load("harmonizer")
    >>> report = isotone.apply(harmonizer, manifest, "harmonized", quiet=True)
    >>> print(report.summary())
    16 harmonized, 0 reference, 0 resumed, 0 refused: harmonized/curves.csv
    """
    if deliver not in get_args(Deliver):
        raise UsageError(f"unknown delivery {deliver!r}", next_step=f"Use one of {', '.join(get_args(Deliver))}.")
    encoding.check(deliver)
    check_guards(allow)
    manifest = manifest.called(harmonizer.known, workers=workers)
    output = Path(output)
    inputs = Inputs(manifest, output)
    model = {"harmonizer": harmonizer.digest, "deliver": deliver, **encoding.said()}

    def run(
        function: Callable[[Any], Any], items: Sequence[Any], label: str, seconds: Any
    ) -> Generator[Any, None, None]:
        results = map_isolated(function, items, workers=workers, executor=executor, seconds=seconds)
        return progress(results, len(items), label=label, quiet=quiet)

    with open_journal(output, model, force=force, named=lambda: inputs_by_output(output)) as journal:
        refuse_foreign_table(output)
        jobs = plan(inputs, harmonizer.reference_domains, deliver, journal)
        array = RowFile(output, encoding.size) if deliver == "npy" and encoding.size else None
        if deliver == "gsps":
            results = deliver_states(StateDelivery(harmonizer, output), allow, jobs, journal, run)
        else:
            how: Delivery | Resizing = Delivery(harmonizer, output, deliver, frozenset(allow), encoding)
            if deliver in ("png", "npy"):
                how = Resizing(harmonizer, output, deliver, encoding.size or 0, frozenset(allow))
            results = deliver_one_by_one(how, array or Files(output, how.writes), jobs, journal, run)
        watch = Watch(harmonizer)
        unseen: list[Job] = []
        fewer: list[int] = []
        with closing(results):
            report = _tabulate(
                _watched(results, watch, unseen, fewer),
                journal,
                output,
                on_result or (_print if not quiet and not Console(stderr=True).is_terminal else _keep_quiet),
            )
        if array is not None:
            array.finish()
        report.warnings += [f"W_BATCH: {v.line}" for v in watch.verdicts() if v.differences]
        if fewer:
            report.warnings.append(
                f"W_LEVELS: in {len(fewer)} images --bits same made levels meet; the fewest left are {min(fewer)}; "
                "restore cannot give back the source exactly"
            )
        compared = {domain for domain, scanner in harmonizer.scanners.items() if scanner.novelty is not None}
        unseen = [job for job in unseen if job.domain in compared]
        if unseen and "look" not in allow:
            report.warnings.append(
                f"W_NO_LOOK: {len(unseen)} images were not decoded, or not in full, and so not compared with those of "
                "the fit; isotone check does that"
            )
        return report


def _watched(results: Results, watch: Watch, unseen: list[Job], fewer: list[int]) -> Results:
    """Show the results as they come to whoever compares them with the fit as a whole.

    What has no look is listed, and how many levels are left where fewer bits made levels meet.
    """
    for result in results:
        outcome = result.outcome
        if not isinstance(outcome, IsotoneError) and "W_LEVELS" in outcome.warnings:
            fewer.append(outcome.levels_kept or 0)
        if isinstance(outcome, IsotoneError):
            watch.refuse(result.job.domain, outcome)
        elif outcome.look is not None:
            watch.add(result.job.domain, np.array(outcome.look))
        elif outcome.status == "harmonized":
            unseen.append(result.job)
        yield result


def _print(result: Result) -> None:
    """A plain line for each file done, where there is no progress bar; refusals are named at the end."""
    if not isinstance(result.outcome, IsotoneError):
        status = "resumed" if result.resumed else result.outcome.status
        print(f"{printable(result.job.path)}: {status}", flush=True)


def _keep_quiet(_: Result) -> None:
    """Nothing is said."""


def _tabulate(results: Iterable[Result], journal: Journal, output: Path, tell: Callable[[Result], None]) -> ApplyReport:
    """Count, tell and write the table as the results come, and then what the journal has of images that are gone."""
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
            tell(result)
            writer.writerow([inert(cell) for cell in _cells(result)])
        for entry in journal.gone():
            report.gone += 1
            writer.writerow([inert(cell) for cell in _cells_of_gone(entry)])
    return report


def _cells(result: Result) -> list[object]:
    path, outcome = str(result.job.path), result.outcome
    if isinstance(outcome, IsotoneError):
        return [path, "refused", outcome.code, *[""] * (len(COLUMNS) - 3)]
    return [path, *_numbers(outcome), result.target]


def _cells_of_gone(entry: Entry) -> list[object]:
    outcome = outcome_in(entry) or Outcome("")
    if not outcome.status or outcome.status == "refused":
        return [entry.path, GONE, outcome.code, *[""] * (len(COLUMNS) - 4), entry.target or ""]
    return [entry.path, *_numbers(replace(outcome, status=GONE)), entry.target or ""]


def _numbers(outcome: Outcome) -> list[object]:
    """From the column "status" to the column "warnings"."""
    coefficients = "" if outcome.curve is None else json.dumps(outcome.curve.coefficients)
    numbers = [f"{number:.6g}" for number in (outcome.min_slope, outcome.max_slope)]
    kept = "" if outcome.levels_kept is None else outcome.levels_kept
    clipped, warnings = f"{outcome.clipped_share:.6g}", " ".join(outcome.warnings)
    return [outcome.status, "", coefficients, *numbers, kept, clipped, warnings]
