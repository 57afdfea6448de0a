"""The command line: each command calls one function of the library and prints what it returned."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from isotone._version import __version__
from isotone.errors import IsotoneError, UsageError

# Only what --help needs is imported here: torch alone takes two seconds.
if TYPE_CHECKING:
    from isotone.data.manifest import Manifest
    from isotone.models.classifier import Classifier

INTERRUPTED = 130


class Commands(TyperGroup):
    """Turns our errors into one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except IsotoneError as error:
            _complain(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            print("isotone: interrupted; the same command goes on from here", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=Commands,
    name="isotone",
    help="One transparent, monotone tone curve from one vendor's X-ray images to another's. "
    "Input for algorithms in research; not for diagnostic reading, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cohort = typer.Typer(help="Images or tables as published → a manifest and Table 1.", no_args_is_help=True)
app.add_typer(cohort, name="cohort")

Output = Annotated[Path, typer.Option("--output", "-o", help="Output folder.")]
Paths = Annotated[list[Path], typer.Argument(help="Files, folders or manifests.", metavar="PATH...")]
ManifestPath = Annotated[Path, typer.Argument(help="CSV or Parquet with a column path.", metavar="MANIFEST")]
Reference = Annotated[list[str], typer.Option("--reference", help="Reference domain; may be repeated.")]
Domain = Annotated[str | None, typer.Option(help="Domain of files whose header names none.")]
Deliver = Literal["pixels", "voi-lut", "gsps"]
FitMethod = Literal["scanner", "gdce"]
Labels = Literal["all", "none"]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Device = Annotated[str, typer.Option(help="Where networks run, e.g. cpu or cuda.")]
Workers = Annotated[int, typer.Option(help="Processes that read images.", min=1)]
Force = Annotated[bool, typer.Option("--force", help="Use a non-empty output folder; overrule warnings.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting of the method as NAME=VALUE; may be repeated.", metavar="NAME=VALUE"),
]
CPUS = os.cpu_count() or 1


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if show:
        print(__version__)
        raise typer.Exit


@app.command()
def demo(
    output: Output,
    seed: Seed = 0,
    device: Device = "cpu",
    workers: Workers = CPUS,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """The whole story on simulated mammograms of three vendors, ending with the path of the report."""
    from isotone.demo import run_demo

    results = run_demo(output, seed=seed, device=device, workers=workers, force=force, quiet=quiet)
    _print_results(results)
    print(output / "report.html")


@cohort.command()
def phantom(
    output: Output,
    patients: Annotated[int, typer.Option(help="Patients in all, two images each.", min=30)] = 360,
    size: Annotated[int, typer.Option(help="Rows of an image in pixels.", min=64)] = 256,
    seed: Seed = 0,
    workers: Workers = CPUS,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Simulated mammograms of three invented vendors, with the truth known."""
    from isotone.data.cohorts.phantom import make_phantom
    from isotone.data.cohorts.table import table_one

    manifest = make_phantom(output, patients=patients, size=size, seed=seed, workers=workers, force=force, quiet=quiet)
    _print_table(table_one(manifest))
    print(output / "manifest.csv")


@app.command()
def inspect(
    paths: Paths,
    domain: Domain = None,
    workers: Workers = 1,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Domain, bit depth, window and polarity of images; what would be refused, and why."""
    from isotone.imaging.inspect import inspect as look

    given = [row for path in paths for row in _listed(path)]
    refused = 0
    for finding in look(given, domain=domain, force=force, workers=workers):
        refused += finding.error is not None
        if finding.error is not None or not quiet:
            print(finding.line())
    raise typer.Exit(int(refused > 0))


@app.command()
def train(
    manifest: ManifestPath,
    reference: Reference,
    output: Output,
    backbone: Annotated[str, typer.Option(help="resnet50, or small for CPUs.")] = "resnet50",
    image_size: Annotated[int | None, typer.Option(help="Side of the square input in pixels.")] = None,
    epochs: Annotated[int | None, typer.Option(help="At most so many epochs.", min=1)] = None,
    weights: Annotated[Path | None, typer.Option(help="Pretrained weights: torchvision's or RadImageNet's.")] = None,
    settings: Settings = None,
    seed: Seed = 0,
    device: Device = "cpu",
    workers: Workers = CPUS,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Train the reference classifier."""
    from isotone.data.splits import with_splits
    from isotone.training.train import TrainSettings, train_classifier

    chosen: dict[str, Any] = {
        "backbone": backbone,
        "image_size": image_size,
        "epochs": epochs,
        "weights": weights,
    }
    chosen = {name: value for name, value in chosen.items() if value is not None} | _assignments(settings)
    validated = _validated(TrainSettings.small if backbone == "small" else TrainSettings, chosen)
    rows = with_splits(_manifest(manifest), seed)
    with _run(output, force, "train", manifest, reference, chosen, seed):
        train_classifier(rows, reference, validated, seed=seed, device=device, workers=workers, quiet=quiet).save(
            output
        )
    print(output)


@app.command()
def fit(
    manifest: ManifestPath,
    reference: Reference,
    source: Annotated[list[str], typer.Option("--source", help="Source domain; may be repeated.")],
    output: Output,
    classifier: Annotated[Path | None, typer.Option(help="Folder of the frozen classifier.")] = None,
    method: Annotated[
        FitMethod, typer.Option(help="scanner: one curve by transport. gdce: the paper's network.")
    ] = "scanner",
    labels: Annotated[Labels, typer.Option(help="all, or none: no source label is read.")] = "all",
    mix: Annotated[
        list[str] | None, typer.Option(help="The source's class mix where you know it, as LABEL=SHARE.")
    ] = None,
    perceptual: Annotated[str | None, typer.Option(help="Of gdce: vgg16, or classifier (no download).")] = None,
    perceptual_weights: Annotated[Path | None, typer.Option(help="Of gdce: a file of VGG-16 weights.")] = None,
    settings: Settings = None,
    seed: Seed = 0,
    device: Device = "cpu",
    workers: Workers = CPUS,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Fit a harmonizer: a curve for each source scanner."""
    from isotone.fitting import settings_of
    from isotone.harmonizer import ToneCurveHarmonizer

    chosen: dict[str, Any] = {"perceptual": perceptual, "perceptual_weights": perceptual_weights}
    chosen = {name: value for name, value in chosen.items() if value is not None} | _assignments(settings)
    harmonizer = ToneCurveHarmonizer(reference, source, method=method)
    harmonizer.settings = _validated(settings_of(harmonizer.method), chosen)
    frozen = None if classifier is None else _classifier(classifier, device)
    rows = _manifest(manifest)
    with _run(output, force, "fit", manifest, reference, source, classifier, method, labels, mix, chosen, seed):
        harmonizer.fit(
            rows,
            frozen,
            labels=labels,
            mix={name: float(share) for name, share in _assignments(mix).items()} or None,
            seed=seed,
            device=device,
            workers=workers,
            quiet=quiet,
        )
        harmonizer.save(output)
    for domain, notes in harmonizer.notes.items():
        for warning in notes.get("warnings", ()):
            print(f"{domain}: {warning}", file=sys.stderr)
    print(output)


@app.command()
def apply(
    harmonizer: Annotated[Path, typer.Argument(help="Folder of the harmonizer.")],
    paths: Paths,
    output: Output,
    deliver: Annotated[Deliver, typer.Option(help="What is handed on.")] = "pixels",
    domain: Domain = None,
    workers: Workers = CPUS,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Harmonize images: derived DICOM for DICOM, 16-bit PNG for the rest."""
    from isotone.apply import apply as run
    from isotone.data.manifest import Manifest
    from isotone.harmonizer import ToneCurveHarmonizer

    report = run(
        ToneCurveHarmonizer.load(harmonizer),
        Manifest.from_paths(paths, domain=domain),
        output,
        deliver=deliver,
        workers=workers,
        force=force,
        quiet=quiet,
    )
    for error in report.refused:
        _complain(error)
    print(report.summary())
    raise typer.Exit(int(bool(report.refused)))


@app.command()
def restore(paths: Paths, output: Output, force: Force = False, quiet: Quiet = False) -> None:
    """Undo a delivery of pixels: the stored values of the source, wherever levels were kept."""
    from isotone.export.restore import restore as run

    report = run(paths, output, force=force, quiet=quiet)
    for error in report.refused:
        _complain(error)
    print(report.summary())
    raise typer.Exit(int(bool(report.refused)))


@app.command()
def evaluate(
    manifest: ManifestPath,
    classifier: Annotated[Path, typer.Option(help="Folder of the frozen classifier.")],
    output: Output,
    harmonizer: Annotated[list[Path] | None, typer.Option(help="Folder of a harmonizer; may be repeated.")] = None,
    baseline: Annotated[list[str] | None, typer.Option(help="A baseline's name, or all; may be repeated.")] = None,
    with_images: Annotated[
        bool, typer.Option("--with-images", help="Show images in the report; they may identify a patient.")
    ] = False,
    seed: Seed = 0,
    device: Device = "cpu",
    workers: Workers = CPUS,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Does the shift hurt, does the curve help, does it harm? A report and results.json."""
    from isotone.data.splits import with_splits
    from isotone.evaluation.evaluate import evaluate as run
    from isotone.harmonizer import ToneCurveHarmonizer

    loaded = [ToneCurveHarmonizer.load(folder) for folder in harmonizer or ()]
    names = [h.name for h in loaded]
    if len(set(names)) < len(names):
        raise UsageError("two harmonizer folders have the same name", next_step="Rename one of them.")
    rows, frozen = with_splits(_manifest(manifest), seed), _classifier(classifier, device)
    with _run(output, force, "evaluate", manifest, classifier, harmonizer, baseline, with_images, seed):
        results = run(
            rows,
            frozen,
            harmonizers=dict(zip(names, loaded, strict=True)),
            baselines=baseline or (),
            output=output,
            with_images=with_images,
            seed=seed,
            workers=workers,
            quiet=quiet,
        )
    _print_results(results)
    print(output / "report.html")
    raise typer.Exit(int(bool(results.refused)))


@app.command()
def curve(
    harmonizer: Annotated[Path, typer.Argument(help="Folder of the harmonizer.")],
    image: Annotated[Path | None, typer.Argument(help="The image, where each has a curve of its own.")] = None,
    domain: Domain = None,
    bits: Annotated[int, typer.Option(help="Bit depth of the certificate.", min=1, max=16)] = 12,
    plot: Annotated[Path | None, typer.Option(help="Draw the curve into an SVG, PNG or PDF file.")] = None,
) -> None:
    """The curve, its numbers, its certificate, a plot."""
    from isotone.curve_sheet import curves_of, draw, sheet
    from isotone.harmonizer import ToneCurveHarmonizer

    curves = curves_of(ToneCurveHarmonizer.load(harmonizer), image, domain)
    for name, tone_curve in curves.items():
        print(sheet(name, tone_curve, bits))
    if plot is not None:
        draw(curves, plot)
        print(plot)


def _run(output: Path, force: bool, command: str, *inputs: Any) -> AbstractContextManager[Path]:
    from isotone.files import run_folder

    return run_folder(output, {"command": command, "inputs": inputs, "version": __version__}, force=force)


def _complain(error: IsotoneError) -> None:
    print(f"isotone: {error}", file=sys.stderr)


def _manifest(path: Path) -> Manifest:
    from isotone.data.manifest import Manifest

    return Manifest.read(path)


def _listed(path: Path) -> list[Path]:
    """What a manifest lists, in the place of the manifest."""
    if not path.exists():
        raise UsageError("no such file or folder", code="E_READ", file=path)
    return [row.path for row in _manifest(path)] if path.suffix.lower() in {".csv", ".parquet"} else [path]


def _classifier(folder: Path, device: str) -> Classifier:
    if not folder.exists():
        raise UsageError("no such classifier", code="E_READ", file=folder)
    try:
        from isotone.models.classifier import Classifier
    except ImportError:
        raise IsotoneError("E_EXTRA", "a classifier needs torch") from None
    return Classifier.load(folder, device=device)


def _assignments(pairs: list[str] | None) -> dict[str, str]:
    for pair in pairs or ():
        if "=" not in pair:
            raise UsageError(f"{pair!r} is not NAME=VALUE")
    return dict(pair.split("=", 1) for pair in pairs or ())


def _validated(build: Any, values: dict[str, Any]) -> Any:
    """Settings from strings, each refusal in one line."""
    from pydantic import ValidationError

    try:
        return build(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"setting {name}: {first['msg'].lower()}") from None


def _print_table(lines: Any) -> None:
    from rich.console import Console

    # Wide enough that nothing is wrapped or cut when the output is a file.
    Console(width=None if sys.stdout.isatty() else 400).print(lines)


def _print_results(results: Any) -> None:
    _print_table(results.table())


def main() -> None:
    """Entry point of the command `isotone`."""
    app()
