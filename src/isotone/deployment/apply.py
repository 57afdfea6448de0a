"""Many files → many files: a harmonizer applied to images, in crash-isolated processes or on anybody's executor."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack, get_args

import numpy as np
from rich.console import Console

from isotone._runtime.files import replace_file
from isotone._runtime.journal import Entry, Journal
from isotone._runtime.run_options import RunOptions, WorkKeywords
from isotone._runtime.workers import map_isolated
from isotone.data.images import progress
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.check import Watch
from isotone.deployment.curves_table import COLUMNS, CURVES, inputs_by_output, refuse_foreign_table
from isotone.deployment.deliver import Delivery, Outcome
from isotone.deployment.deliver_states import StateDelivery
from isotone.deployment.encoding import USUAL, Encoding
from isotone.deployment.plan import Inputs, plan
from isotone.deployment.record import Deliver
from isotone.deployment.resized import Resizing
from isotone.deployment.resume import Files, Result, Results, deliver_one_by_one, outcome_in
from isotone.deployment.resume_states import deliver_states
from isotone.deployment.row_file import RowFile
from isotone.deployment.shard import Shard, open_part, open_whole
from isotone.errors import IsotoneError, UsageError
from isotone.estimation.report import KEEPING
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
    harmonized, reference, kept, resumed : int
        Images harmonized, reference images passed through and images kept as they are (W_HARMS, W_NO_GAIN) by this run;
        images that an earlier run had done.
    resumed_reference, resumed_kept : int
        How many of the resumed ones are of the reference, and kept.
    keeps : bool
        Whether the harmonizer has a scanner whose images its fit would keep.
    gone : int
        Images of earlier runs that are not among those of this one: their files and their lines in the table stay.
    refused : list of IsotoneError
        Each names its file.
    curves : Path
        The table of every image.
    warnings : list of str
        ``W_BATCH: …``, one for each domain whose images as a whole differ from those of the fit
        (`isotone.deployment.check`); ``W_NO_LOOK: …`` where images were not compared, since presentation states needed
        no pixel or not all of them; ``W_HARMS: …`` or ``W_NO_GAIN: …``, one for each scanner whose images were kept, or
        were not since `allow` overruled that.
    """

    curves: Path
    harmonized: int = 0
    reference: int = 0
    kept: int = 0
    resumed: int = 0
    resumed_reference: int = 0
    resumed_kept: int = 0
    keeps: bool = False
    gone: int = 0
    refused: list[IsotoneError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """The counts in the output for programs (``docs/json.md``)."""
        counts = {name: getattr(self, name) for name in ("harmonized", "reference", "kept", "resumed")}
        refused = len(self.refused)
        return {
            "images": sum(counts.values()) + refused,
            **counts,
            "resumed_reference": self.resumed_reference,
            "resumed_kept": self.resumed_kept,
            "refused": refused,
            "gone": self.gone,
            "warnings": self.warnings,
            "table": str(self.curves),
            "exit_code": int(refused > 0),
        }

    def summary(self) -> str:
        """One line."""
        kept = f"{self.kept} kept, " if self.kept or self.keeps else ""
        passed = {"reference": self.resumed_reference, "kept": self.resumed_kept}
        again = ", ".join(f"{count} {what}" for what, count in passed.items() if count)
        resumed = f"{self.resumed} resumed" + (f" ({again})" if again else "")
        gone = f", {self.gone} gone" if self.gone else ""
        return (
            f"{self.harmonized} harmonized, {self.reference} reference, {kept}{resumed}, "
            f"{len(self.refused)} refused{gone}: {printable(self.curves)}"
        )


def apply(
    harmonizer: ToneCurveHarmonizer,
    manifest: Manifest,
    output: str | Path,
    *,
    deliver: Deliver = "pixels",
    encoding: Encoding = USUAL,
    allow: Collection[str] = (),
    force: bool = False,
    on_result: Callable[[Result], None] | None = None,
    **options: Unpack[WorkKeywords],
) -> ApplyReport:
    """Harmonize the images of a manifest into a folder that mirrors theirs.

    Reference images are copied as they are (`deliver` "pixels") or left where they are; so are those of a scanner whose
    curve is predicted to harm (W_HARMS), of which VOI LUTs have copies, too. What is refused is named and the rest
    done. The same model and delivery into the same folder again, with whatever images, do those that are new or changed
    and keep the rest.

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
    allow : collection of str
        Guards to overrule, so that curves are applied to data that they were not fitted on, or that they are predicted
        to harm (`isotone.monitoring.guards`).
    force : bool
        Use the output folder whatever is in it.
    on_result : callable, optional
        Gets what became of each image as it is known (`isotone.deployment.resume.Result`). Default: a line for each
        file where standard error is no terminal.
    **options
        The fields of `isotone._runtime.run_options.RunOptions`: `workers`, `executor`, `shard`, and `quiet`, with
        which there is no progress bar either.

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
    run = RunOptions(**options)
    manifest = manifest.called(harmonizer.known, workers=run.workers)
    output = Path(output)
    inputs = Inputs(manifest, output)

    def work(
        function: Callable[[Any], Any], items: Sequence[Any], label: str, seconds: Any
    ) -> Generator[Any, None, None]:
        results = map_isolated(function, items, workers=run.workers, executor=run.executor, seconds=seconds)
        return progress(results, len(items), label=label, quiet=run.quiet)

    model = _model(harmonizer, deliver, encoding, allow)
    shard = None if run.shard is None else Shard.parse(run.shard)
    _refuse_one_file_in_parts(deliver, shard)
    state = output if shard is None else shard.folder(output)
    with (
        open_whole(output, model, force=force, named=lambda: inputs_by_output(output))
        if shard is None
        else open_part(output, shard, model, force=force)
    ) as journal:
        refuse_foreign_table(state)
        passing = {domain for domain in harmonizer.known.names if harmonizer.passing(domain, allow)}
        jobs = plan(inputs, passing, deliver, journal, shard)
        array = RowFile(output, encoding.size) if deliver == "npy" and encoding.size else None
        if deliver == "gsps":
            results = deliver_states(StateDelivery(harmonizer, output), allow, jobs, journal, work)
        else:
            how: Delivery | Resizing = Delivery(harmonizer, output, deliver, frozenset(allow), encoding)
            if deliver in ("png", "npy"):
                how = Resizing(harmonizer, output, deliver, encoding.size or 0, frozenset(allow))
            results = deliver_one_by_one(how, array or Files(output, how.writes), jobs, journal, work)
        cautions = _Cautions(harmonizer)
        tell = on_result or (_print if not run.quiet and not Console(stderr=True).is_terminal else _keep_quiet)
        with closing(results):
            report = _tabulate(cautions.watched(results), journal, state, tell)
        if array is not None:
            array.finish()
        report.keeps = any(scanner.kept for scanner in harmonizer.scanners.values())
        report.warnings += cautions.lines(looked="look" not in allow)
        return report


def _refuse_one_file_in_parts(deliver: Deliver, shard: Shard | None) -> None:
    if shard is not None and deliver == "npy":
        raise UsageError("several machines cannot write one array", next_step='Use deliver="png", or no shard=.')


def _model(
    harmonizer: ToneCurveHarmonizer, deliver: Deliver, encoding: Encoding, allow: Collection[str]
) -> dict[str, str]:
    """What an output folder belongs to: whether images that would be kept get a curve is part of it."""
    kept = [domain for domain, scanner in harmonizer.scanners.items() if scanner.kept]
    overruled = any(harmonizer.passing(domain, allow) is None for domain in kept)
    said = {"harmonizer": harmonizer.digest, "deliver": deliver, **encoding.said()}
    return said | ({"allow": "harm"} if overruled else {})


class _Cautions:
    """What a run as a whole warns of."""

    def __init__(self, harmonizer: ToneCurveHarmonizer) -> None:
        self._watch = Watch(harmonizer)
        self._compared = {domain for domain, scanner in harmonizer.scanners.items() if scanner.novelty is not None}
        self._unseen, self._levels_left = 0, Counter[int]()
        self._kept_for = {name: code for name, one in harmonizer.scanners.items() if (code := one.kept_for) is not None}
        self._done = Counter[tuple[str | None, str]]()

    def watched(self, results: Results) -> Results:
        """The results as they come; each is looked at first."""
        for result in results:
            outcome, domain = result.outcome, result.job.domain
            if isinstance(outcome, IsotoneError):
                self._watch.refuse(domain, outcome)
                yield result
                continue
            self._done[domain, outcome.status] += 1
            if "W_LEVELS" in outcome.warnings:
                self._levels_left[outcome.levels_kept or 0] += 1
            if outcome.look is not None:
                self._watch.add(domain, np.array(outcome.look))
            elif outcome.status == "harmonized" and domain in self._compared:
                self._unseen += 1
            yield result

    def lines(self, *, looked: bool) -> list[str]:
        """A line for each; `looked`: whether images that could be compared with the fit were."""
        lines = [f"W_BATCH: {v.line}" for v in self._watch.verdicts() if v.differences]
        lines += [line for domain, code in self._kept_for.items() for line in self._of_kept(domain, code)]
        if self._levels_left:
            lines.append(
                f'W_LEVELS: bits="same" made levels meet (images: {self._levels_left.total()}); the fewest left are '
                f"{min(self._levels_left)}; restore cannot give back the source exactly"
            )
        if self._unseen and looked:
            lines.append(
                f"W_NO_LOOK: {self._unseen} images were not decoded, or not in full, and so not compared with those of "
                "the fit; isotone check does that"
            )
        return lines

    def _of_kept(self, domain: str, code: str) -> Iterator[str]:
        """Why images of a scanner stay as they are, and that a guard was overruled."""
        why = KEEPING[code]
        if kept := self._done[domain, "kept"]:
            yield f'{code}: {domain}: {kept} images stay as they are: {why}; allow=["harm"] applies the curve'
        if harmonized := self._done[domain, "harmonized"]:
            yield f'{code}: {domain}: allow=["harm"] overruled the guard: {harmonized} images have the curve: {why}'


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
                report.resumed_reference += result.outcome.status == "reference"
                report.resumed_kept += result.outcome.status == "kept"
            elif result.outcome.status == "reference":
                report.reference += 1
            elif result.outcome.status == "kept":
                report.kept += 1
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
    coefficients = "" if outcome.coefficients is None else json.dumps(outcome.coefficients)
    numbers = [f"{number:.6g}" for number in (outcome.min_slope, outcome.max_slope)]
    kept = "" if outcome.levels_kept is None else outcome.levels_kept
    clipped, warnings = f"{outcome.clipped_share:.6g}", " ".join(outcome.warnings)
    return [outcome.status, "", coefficients, *numbers, kept, clipped, warnings]
