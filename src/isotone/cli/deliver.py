"""Commands on many files: look at them, harmonize them, undo it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isotone.cli.app import (
    CPUS,
    Allow,
    Bits,
    Compress,
    Deliver,
    Domain,
    Force,
    Inverted,
    Json,
    Output,
    Paths,
    Quiet,
    Size,
    Workers,
    app,
    complain,
    print_json,
    read_manifest,
    say,
    warn,
)
from isotone.cli.images import DomainBy, DomainMap, images_of, naming
from isotone.errors import UsageError

if TYPE_CHECKING:
    from isotone.imaging.inspect import Listed


@app.command()
def inspect(
    paths: Paths,
    domain: Domain = None,
    domain_map: DomainMap = None,
    domain_by: DomainBy = None,
    inverted: Inverted = None,
    workers: Workers = 1,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Domain, bit depth, window and polarity of images; what would be refused, and why."""
    from isotone.data.manifests.domain_names import Naming
    from isotone.imaging.inspect import inspect as look
    from isotone.imaging.no_image import how_many

    given = [item for path in paths for item in listed(path)]
    found = refused = 0
    others: list[Path] = []
    name = Naming.of(**naming(domain_map, domain_by)).name
    for finding in look(given, domain=domain, name=name, inverted=inverted, workers=workers, left_out=others.append):
        found += 1
        refused += finding.error is not None
        if as_json:
            print_json("image", finding.to_json())
        elif finding.error is not None or not quiet:
            say(finding.line())
    if as_json:
        counts = {"images": found, "refused": refused, "left_out": len(others), "exit_code": int(refused > 0)}
        print_json("summary", {"command": "inspect"} | counts)
    if others:
        print(f"isotone: {how_many(len(others))}", file=sys.stderr)
    if not found:
        raise UsageError("no image here", code="E_READ", file=paths[0])
    raise typer.Exit(int(refused > 0))


@app.command()
def apply(
    harmonizer: Annotated[Path, typer.Argument(help="Folder of the harmonizer.")],
    paths: Paths,
    output: Output,
    deliver: Annotated[Deliver, typer.Option(help="Form of the output.")] = "pixels",
    compress: Compress = None,
    bits: Bits = "16",
    size: Size = None,
    domain: Domain = None,
    domain_map: DomainMap = None,
    domain_by: DomainBy = None,
    inverted: Inverted = None,
    allow: Allow = None,
    workers: Workers = CPUS,
    shard: Annotated[
        str | None,
        typer.Option(help="Do part K of N; a run without it puts them together.", metavar="K/N"),
    ] = None,
    as_json: Json = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Harmonize images: derived DICOM for DICOM, 16-bit PNG for others.

    A second run processes only new and changed images.
    """
    from isotone.deployment.apply import apply as run
    from isotone.deployment.encoding import Encoding
    from isotone.harmonizer.harmonizer import ToneCurveHarmonizer

    source = {"domain": domain, "inverted": inverted, "without_harmonized": "harmonized" not in (allow or ())}
    given = images_of(paths, domain_map, domain_by, workers=workers, **source)
    report = run(
        ToneCurveHarmonizer.load(harmonizer),
        given,
        output,
        deliver=deliver,
        encoding=Encoding(compress, bits, size),
        workers=workers,
        shard=shard,
        allow=allow or (),
        force=force,
        quiet=quiet,
        on_result=(lambda result: print_json("image", result.to_json())) if as_json else None,
    )
    for error in [] if as_json else report.refused:
        complain(error)
    for warning in report.warnings:
        warn(f"isotone: {warning}")
    if as_json:
        print_json("summary", {"command": "apply"} | report.to_json() | {"left_out": given.left_out})
    else:
        say(report.summary())
    raise typer.Exit(int(bool(report.refused)))


@app.command()
def check(
    harmonizer: Annotated[Path, typer.Argument(help="Folder of the harmonizer.")],
    paths: Paths,
    domain: Domain = None,
    domain_map: DomainMap = None,
    domain_by: DomainBy = None,
    inverted: Inverted = None,
    workers: Workers = CPUS,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Do today's images still look like those of the fit? One line for each scanner.

    Exit codes: 0 alike; 3 drift; 4 no drift, but a scanner without a curve; 1 neither, but unreadable files.
    """
    from isotone.deployment.check import check as run
    from isotone.harmonizer.harmonizer import ToneCurveHarmonizer

    given = images_of(paths, domain_map, domain_by, workers=workers, domain=domain, inverted=inverted)
    report = run(ToneCurveHarmonizer.load(harmonizer), given, workers=workers, quiet=quiet)
    for error in report.refused:
        if as_json:
            print_json("image", error.to_json())
        else:
            complain(error)
    if report.reference:
        print(f"isotone: images of the reference, not compared: {report.reference}", file=sys.stderr)
    for verdict in report.verdicts:
        if as_json:
            print_json("verdict", verdict.to_json())
        else:
            say(verdict.line)
    if as_json:
        print_json("summary", report.to_json() | {"left_out": given.left_out})
    raise typer.Exit(report.exit_code)


@app.command()
def restore(paths: Paths, output: Output, force: Force = False, quiet: Quiet = False) -> None:
    """Undo a delivery of pixels: the stored values of the source, wherever levels were kept."""
    from isotone.deployment.restore import restore as run

    report = run(paths, output, force=force, quiet=quiet)
    for error in report.refused:
        complain(error)
    say(*report.summary().split("\n"))
    raise typer.Exit(int(bool(report.refused)))


def listed(path: Path) -> "list[Path | Listed]":
    """What a manifest lists, in the place of the manifest."""
    from isotone.data.manifests.table import is_manifest
    from isotone.imaging.inspect import Listed

    if not path.exists():
        raise UsageError("no such file or folder", code="E_READ", file=path)
    if path.is_dir() or not is_manifest(path):
        return [path]
    return [Listed(row.path, row.domain, row.inverted) for row in read_manifest(path)]
