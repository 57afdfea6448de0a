"""Which images a command works on, and how their domains are named; the command that writes a manifest."""

import sys
import warnings
from collections import Counter
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from isotone.cli.app import CPUS, Domain, Inverted, Workers, app, complain, say
from isotone.errors import UsageError

if TYPE_CHECKING:
    from isotone.data.manifests.manifest import Manifest

Images = Annotated[
    list[Path], typer.Argument(help="A manifest (CSV, TSV or Parquet), or folders and files.", metavar="PATH...")
]
OptionalImages = Annotated[
    list[Path] | None, typer.Argument(help="A manifest (CSV, TSV or Parquet), or folders and files.", metavar="PATH...")
]
DomainMap = Annotated[
    list[str] | None,
    typer.Option(help="Another name for a scanner, or a CSV file of such pairs; may be repeated.", metavar="OLD=NEW"),
]
DomainBy = Annotated[
    list[str] | None,
    typer.Option(
        help="Split one scanner name by body-part, depth, detector, intent, laterality, modality, processing, "
        "software, station or view; may be repeated.",
        metavar="ATTRIBUTE",
    ),
]
DomainFrom = Literal["headers", "subfolder"]


@app.command()
def manifest(
    paths: Annotated[list[Path], typer.Argument(help="Folders, files or manifests.", metavar="FOLDER...")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The CSV file to write.")],
    domain: Domain = None,
    domain_from: Annotated[DomainFrom, typer.Option(help="Where the name of a scanner comes from.")] = "headers",
    domain_map: DomainMap = None,
    domain_by: DomainBy = None,
    inverted: Inverted = None,
    workers: Workers = CPUS,
) -> None:
    """List the images of folders with their scanners and patients, for you to add labels."""
    from isotone.data.manifests.manifest import Manifest

    if output.exists():
        raise UsageError("there is such a file already", file=output, next_step="Name another -o, or remove it.")
    if not output.parent.is_dir():
        raise UsageError("there is no such folder", code="E_READ", file=output.parent)
    found = Manifest.from_paths(
        paths,
        domain=domain,
        inverted=inverted,
        domain_from=domain_from,
        without_harmonized=True,
        workers=workers,
        **naming(domain_map, domain_by),
    )
    count_left_out(found)
    for error in found.refused:
        complain(error)
    refused = {error.file for error in found.refused}
    keep = [path not in refused for path in found.columns["path"]]
    kept = {name: list(compress(cells, keep)) for name, cells in found.columns.items() if name != "root"}
    if not kept["path"]:
        raise UsageError("no image here can be read", code="E_READ", file=paths[0])
    Manifest(kept).write(output)
    for name, count in Counter(name or "(no domain: see --domain)" for name in kept["domain"]).most_common():
        say(f"{name}: {count}")
    say(output)
    raise typer.Exit(int(bool(found.refused)))


def images_of(
    paths: list[Path], domain_map: list[str] | None, domain_by: list[str] | None, *, workers: int, **more: Any
) -> "Manifest":
    """The images of one manifest, or of folders and files, whose other files are counted; without what isotone made."""
    from isotone.data.manifests.manifest import Manifest

    options = naming(domain_map, domain_by) | {"workers": workers}
    if len(paths) == 1 and not paths[0].is_dir() and not more:
        return Manifest.read(paths[0], **options)
    found = Manifest.from_paths(paths, **{"without_harmonized": True, **options, **more})
    count_left_out(found)
    return found


def labelled_images_of(
    paths: list[Path],
    domain_map: list[str] | None,
    domain_by: list[str] | None,
    *,
    label: str | None,
    finding: str | None,
    workers: int,
) -> "Manifest":
    """As `images_of`, with the labels that were asked for."""
    from isotone.data.manifests.labels import labelled_by

    with warnings.catch_warnings():
        if label is not None:  # the user says which column it is
            warnings.filterwarnings("ignore", message=".*no column 'label', but")
        found = images_of(paths, domain_map, domain_by, workers=workers)
    if label is None and finding is None:
        return found
    return labelled_by(found, label or "label", finding)


def count_left_out(found: "Manifest") -> None:
    """One line on standard error for all files of folders that are no images."""
    from isotone.imaging.no_image import how_many

    if found.left_out:
        print(f"isotone: {how_many(found.left_out)}", file=sys.stderr)


def naming(domain_map: list[str] | None, domain_by: list[str] | None) -> dict[str, Any]:
    """The options of `Manifest.read` that name domains."""
    renamed: dict[str, str] = {}
    for given in domain_map or ():
        old, equals, new = given.partition("=")
        if Path(given).is_file():
            from isotone.data.manifests.domain_names import read_map

            pairs = read_map(Path(given))
        elif not equals:
            raise UsageError(f"{given!r} is neither OLD=NEW nor a file", next_step="Write --domain-map OLD=NEW.")
        else:
            pairs = {old.strip(): new.strip()}
        for name, one in pairs.items():
            if renamed.setdefault(name, one) != one:
                raise UsageError(f"--domain-map gives {name!r} two new names", next_step="Give each old name once.")
    by = [name.strip() for given in domain_by or () for name in given.split(",")]
    return {"domain_map": renamed, "domain_by": by}
