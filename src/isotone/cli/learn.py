"""Commands that learn: a classifier, a harmonizer; and the curve that came out."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from isotone.cli.app import (
    CPUS,
    AllowCode,
    Device,
    Finding,
    FitMethod,
    Force,
    LabelColumn,
    Labels,
    LeftOut,
    NoCache,
    Output,
    Paths,
    Quiet,
    Reference,
    Seed,
    Settings,
    Workers,
    app,
    cache_folder,
    load_classifier,
    need,
    run_in,
    say,
    warn,
)
from isotone.cli.images import DomainBy, DomainMap, Images, OptionalImages, images_of, labelled_images_of
from isotone.errors import UsageError

Tensorboard = Annotated[bool, typer.Option("--tensorboard", help="Log for TensorBoard, too, beside log.csv.")]


@app.command()
def train(
    paths: Images,
    reference: Reference,
    output: Output,
    backbone: Annotated[str, typer.Option(help="resnet50, or small for CPUs.")] = "resnet50",
    image_size: Annotated[int | None, typer.Option(help="Side of the square input in pixels.")] = None,
    epochs: Annotated[int | None, typer.Option(help="At most so many epochs.", min=1)] = None,
    weights: Annotated[Path | None, typer.Option(help="Pretrained weights: torchvision's or RadImageNet's.")] = None,
    settings: Settings = None,
    tensorboard: Tensorboard = False,
    domain_map: DomainMap = None,
    domain_by: DomainBy = None,
    seed: Seed = 0,
    device: Device = "cpu",
    workers: Workers = CPUS,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Train the reference classifier."""
    need("torch", "safetensors", "sklearn")
    from isotone.data.splits import with_splits
    from isotone.data.weak_classifier import weak_record
    from isotone.networks.training.train import TrainSettings, train_classifier

    chosen: dict[str, Any] = {
        "backbone": backbone,
        "image_size": image_size,
        "epochs": epochs,
        "weights": weights,
    }
    chosen = {name: value for name, value in chosen.items() if value is not None} | assignments(settings)
    chosen_settings = validated(TrainSettings.small if backbone == "small" else TrainSettings, chosen)
    rows = with_splits(images_of(paths, domain_map, domain_by, workers=workers))
    left_out = LeftOut()
    with run_in(output, force, "train", paths, domain_map, domain_by, reference, chosen, seed):
        trained = train_classifier(
            rows,
            reference,
            chosen_settings,
            seed=seed,
            device=device,
            workers=workers,
            quiet=quiet,
            on_refusal=left_out,
            folder=output,
            tensorboard=tensorboard,
        )
    weak = weak_record(trained.config.training)
    if weak is not None:
        print(weak, file=sys.stderr)
    say(output)
    raise left_out.end()


@app.command("trained-on")
def trained_on(
    classifier: Annotated[Path, typer.Argument(help="Folder of the classifier.")],
    paths: Paths,
    workers: Workers = CPUS,
    quiet: Quiet = False,
) -> None:
    """Record what a classifier of your own was trained on, so that it is never counted as test."""
    from isotone.data.manifests.manifest import Manifest
    from isotone.data.trained_on import FILE, TrainingRecord

    if not (classifier / "config.json").is_file():
        raise UsageError("no classifier here", code="E_READ", file=classifier, next_step="Give its folder.")
    left_out = LeftOut()
    record = (TrainingRecord.read(classifier) or TrainingRecord.new()).add_manifest(
        Manifest.from_paths(paths), workers=workers, quiet=quiet, on_refusal=left_out
    )
    record.write(classifier)
    print(f"{record.summary} ({classifier / FILE})")
    raise left_out.end()


@app.command()
def fit(
    reference: Reference,
    source: Annotated[list[str], typer.Option("--source", help="Source domain; may be repeated.")],
    output: Output,
    paths: OptionalImages = None,
    points: Annotated[
        Path | None,
        typer.Option(
            help="Instead of images, a CSV file of grey levels in [0, 1] that one object (a step wedge) has on both "
            "scanners, with the columns source and reference."
        ),
    ] = None,
    classifier: Annotated[Path | None, typer.Option(help="Folder of the frozen classifier.")] = None,
    allow_code: AllowCode = None,
    label: LabelColumn = None,
    finding: Finding = None,
    method: Annotated[
        FitMethod,
        typer.Option(
            help="auto: the scanner curve, averaged with each image's histogram matching if that hardly changes the "
            "classifier's output. scanner: one curve by transport of grey levels. adaptive (experimental): one curve "
            "for each acquisition mode. gdce: the paper's network."
        ),
    ] = "auto",
    labels: Annotated[Labels, typer.Option(help="all: use source labels; none: read no source label.")] = "all",
    mix: Annotated[
        list[str] | None, typer.Option(help="The class mix of each source, if you know it, as LABEL=SHARE.")
    ] = None,
    perceptual: Annotated[str | None, typer.Option(help="For gdce: vgg16, or classifier (no download).")] = None,
    perceptual_weights: Annotated[Path | None, typer.Option(help="For gdce: a file of VGG-16 weights.")] = None,
    settings: Settings = None,
    tensorboard: Tensorboard = False,
    domain_map: DomainMap = None,
    domain_by: DomainBy = None,
    seed: Seed = 0,
    device: Device = "cpu",
    workers: Workers = CPUS,
    no_cache: NoCache = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Fit a harmonizer: a curve for each source scanner."""
    from isotone.harmonizer.fit_report import gain_lines, warning_lines
    from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
    from isotone.harmonizer.pipeline import settings_of

    if points is not None or not paths:
        return _fit_points(points, paths, reference, source, settings, output, force)
    chosen: dict[str, Any] = {"perceptual": perceptual, "perceptual_weights": perceptual_weights}
    chosen = {name: value for name, value in chosen.items() if value is not None} | assignments(settings)
    harmonizer = ToneCurveHarmonizer(reference, source, method=method)
    harmonizer.settings = validated(settings_of(harmonizer.method), chosen)
    frozen = None if classifier is None else load_classifier(classifier, device, allow_code, finding)
    rows = labelled_images_of(paths, domain_map, domain_by, label=label, finding=finding, workers=workers)
    shares = _shares(mix)
    left_out = LeftOut()
    names = (domain_map, domain_by, reference, source, label, finding)
    with run_in(output, force, "fit", paths, names, classifier, method, labels, mix, chosen, seed):
        harmonizer.fit(
            rows,
            frozen,
            labels=labels,
            mix=shares,
            cache=cache_folder(no_cache),
            seed=seed,
            device=device,
            workers=workers,
            quiet=quiet,
            on_refusal=left_out,
            folder=output,
            tensorboard=tensorboard,
        )
    for line in (*gain_lines(harmonizer.scanners), *warning_lines(harmonizer.scanners)):
        warn(line)
    say(output)
    raise left_out.end()


def _fit_points(
    points: Path | None,
    paths: list[Path] | None,
    reference: list[str],
    source: list[str],
    settings: list[str] | None,
    output: Path,
    force: bool,
) -> None:
    from isotone.estimation.measured_points import curve_of_points
    from isotone.estimation.settings import ScannerSettings
    from isotone.harmonizer.fitted_scanner import FittedScanner
    from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
    from isotone.harmonizer.mappers import ScannerMapper

    if points is None or paths:
        raise UsageError("fit learns from images or from --points", next_step="Give either.")
    if len(reference) > 1 or len(source) > 1:
        raise UsageError("the pairs of --points are of one scanner and one reference", next_step="Name one of each.")
    chosen = validated(ScannerSettings, assignments(settings))
    with run_in(output, force, "fit", points, reference, source, assignments(settings)):
        of_source, of_reference = _pairs(points)
        found, said = curve_of_points(of_source, of_reference, chosen)
        harmonizer = ToneCurveHarmonizer(reference, source, settings=chosen)
        harmonizer.scanners = {source[0]: FittedScanner(ScannerMapper(found))}
        harmonizer.save(output)
    print(said, file=sys.stderr)
    say(output)


def _pairs(path: Path) -> list[list[float]]:
    """Grey levels of source and reference from a table."""
    from isotone.data.manifests.table import read_table

    columns = read_table(path).columns
    try:
        return [[float(cell) for cell in columns[name]] for name in ("source", "reference")]
    except KeyError as error:
        raise UsageError(f"the table has no column {error}", file=path, next_step="Head it source,reference.") from None
    except ValueError:
        raise UsageError("a cell of the table is no number", file=path) from None


@app.command()
def curve(
    harmonizer: Annotated[Path, typer.Argument(help="Folder of the harmonizer.")],
    image: Annotated[Path | None, typer.Argument(help="The image, where each has a curve of its own.")] = None,
    domain: Annotated[str | None, typer.Option(help="Only this scanner; of an IMAGE: its scanner.")] = None,
    bits: Annotated[int, typer.Option(help="Bit depth of the certificate.", min=1, max=16)] = 12,
    plot: Annotated[Path | None, typer.Option(help="Draw the curve into an SVG, PNG or PDF file.")] = None,
) -> None:
    """The curve, its numbers, its certificate, a plot."""
    from isotone.harmonizer.curve_report import curves_of, draw, only_in_part, sheet
    from isotone.harmonizer.fit_report import fit_sentences
    from isotone.harmonizer.harmonizer import ToneCurveHarmonizer

    model = ToneCurveHarmonizer.load(harmonizer)
    curves = curves_of(model, image, domain)
    for name, own in curves.items():
        for title, tone_curve in own.items():
            say(*sheet(title, tone_curve, bits).split("\n"))
        if not own:
            say(name, "  Each image has a curve of its own: name an IMAGE.")
        scanner = model.scanners.get(name)
        report = None if scanner is None else scanner.report
        for sentence in (*only_in_part(scanner), *fit_sentences(report, model.labels)):
            say(f"  {sentence}")
    if plot is not None:
        draw(curves, plot, model.scanners)
        say(plot)


def _shares(pairs: list[str] | None) -> dict[str, float] | None:
    try:
        return {name: float(share) for name, share in assignments(pairs).items()} or None
    except ValueError:
        raise UsageError("a share of --mix is no number", next_step="Write --mix LABEL=SHARE for each label.") from None


def assignments(pairs: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"{pair!r} is not NAME=VALUE")
        if found.setdefault(name, value) != value:
            raise UsageError(f"{name!r} has two values, {found[name]!r} and {value!r}", next_step="Give it once.")
    return found


def validated(build: Any, values: dict[str, Any]) -> Any:
    """Settings from strings, each refusal in one line."""
    from pydantic import ValidationError

    try:
        return build(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = getattr(build, "__self__", build).model_fields  # a class, or a constructor of it
            raise UsageError(f"no setting {name!r}", next_step=f"Name one of: {', '.join(known)}.") from None
        raise UsageError(f"setting {name}: {first['msg'].lower()}") from None
