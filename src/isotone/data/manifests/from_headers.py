"""From a table of paths to one with the domain and the patient of each image, as headers name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import Literal, NamedTuple

from isotone.data.manifests.cells import Cells, Columns
from isotone.data.manifests.domain_names import LISTED, KnownDomains, Naming, joined
from isotone.data.manifests.header_facts import Facts, header_facts
from isotone.errors import IsotoneError
from isotone.imaging.dicom.scanner_name import without_version
from isotone.imaging.raster.read_raster import SUFFIXES as RASTER_SUFFIXES

FOUND = "found"
"""Column that is true for files found in a folder, which the user did not name himself."""
NOTHING = Facts()
IDLE = "W_NAMES: domain= names no image, since each has a name already; domain_map= renames"
TIFF = {".tif", ".tiff"}
"""Of these only the image itself is read, in a process of its own: their headers have no bounds."""
DomainFrom = Literal["headers", "subfolder"]


@dataclass(frozen=True)
class HeaderOptions:
    """How headers fill a table.

    Attributes
    ----------
    domain : str or None
        Name of images whose headers, and the table, name none.
    naming : Naming
    without_harmonized : bool
        Leave out what isotone made, where it was found in a folder.
    workers : int
        Processes, where there are many files.
    domain_from : {"headers", "subfolder"}
        "subfolder": what was found in a folder has the name of the first folder below it, or of the folder itself.
    """

    domain: str | None = None
    naming: Naming = field(default_factory=Naming)
    without_harmonized: bool = False
    workers: int = 1
    domain_from: DomainFrom = "headers"


class Filled(NamedTuple):
    """What `filled` gives: the columns, how many files are no images, what was refused of those found, and notes."""

    columns: Columns
    left_out: int
    refused: list[IsotoneError]
    notes: list[str]


def filled(columns: Columns, options: HeaderOptions) -> Filled:
    """The columns with domains and patients, without what is no image.

    Parameters
    ----------
    columns : dict of name to list
        `path`, `domain`, `patient_id`, and perhaps `stated_domain` and `FOUND`.
    options : HeaderOptions
    """
    if _all_stated(columns, options):
        domains, default = columns["domain"], options.domain
        stated = columns.get("stated_domain", domains)
        if default is None:
            return Filled(columns | {"stated_domain": stated}, 0, [], [])
        named = {"domain": [d or default for d in domains], "stated_domain": [d or default for d in stated]}
        return Filled(columns | named, 0, [], [] if None in domains else [IDLE])
    found = columns.get(FOUND)
    if options.domain_from == "subfolder" and found is not None:
        columns = columns | {"domain": _subfolders(columns, found)}
    facts = _facts(columns, found, options)
    keep = [
        found is None or not found[i] or (f.is_image and not (f.harmonized and options.without_harmonized))
        for i, f in enumerate(facts)
    ]
    notes: list[str] = []
    others = sum(not f.is_image for f, kept in zip(facts, keep, strict=True) if not kept)
    ours = len(keep) - sum(keep) - others
    if ours:
        notes.append(
            f"{ours} images of isotone's making are left out" if ours > 1 else "1 image of isotone's is left out"
        )
    facts = list(compress(facts, keep))
    columns = {name: list(compress(cells, keep)) for name, cells in columns.items() if name != FOUND}
    columns |= _named(columns, facts, options, notes)
    columns["patient_id"] = [p or f.patient for p, f in zip(columns["patient_id"], facts, strict=True)]
    return Filled(columns, others, [f.refusal for f in facts if f.refusal is not None], notes)


def known_as(columns: Columns, known: KnownDomains, workers: int) -> Columns:
    """The columns with the names by which a model knows the domains; other names stay.

    Headers are read only of rows that a model which splits domains cannot tell by the name alone.
    """
    domains = list(columns["domain"])
    by = known.naming
    unsplit = [i for i, name in enumerate(domains) if name and name not in known.names and not by.is_split(name)]
    paths = [Path(columns["path"][i]) for i in unsplit]
    for i, said in zip(unsplit, header_facts(paths, by.parts, workers=workers), strict=True):
        if said.refusal is None:
            domains[i] = by.split(by.rename(domains[i]), said.parts)
    new = {name: known.find(name) or name for name in set(domains) if name}
    return columns | {"domain": [name and new[name] for name in domains]}


def _lacking(columns: Columns) -> list[bool]:
    """Of each row, whether domain or patient is missing."""
    return [d is None or p is None for d, p in zip(columns["domain"], columns["patient_id"], strict=True)]


def _all_stated(columns: Columns, options: HeaderOptions) -> bool:
    """Whether headers add nothing, so that a long table need not be gone through row by row."""
    if FOUND in columns or options.naming != Naming():
        return False
    return all(path.lower().endswith((*RASTER_SUFFIXES,)) for path in compress(columns["path"], _lacking(columns)))


def _facts(columns: Columns, found: Sequence[bool] | None, options: HeaderOptions) -> list[Facts]:
    """What the headers say of the rows that need it."""
    paths = [Path(path) for path in columns["path"]]
    lacking = _lacking(columns)
    facts = [NOTHING] * len(paths)
    asked: list[int] = []
    for i, path in enumerate(paths):
        in_folder = found is not None and found[i]
        raster = path.suffix.lower() in RASTER_SUFFIXES
        if in_folder and raster and path.name.startswith("._"):
            facts[i] = Facts(is_image=False)
        elif (in_folder and path.suffix.lower() not in TIFF) or (not raster and (lacking[i] or options.naming.by)):
            asked.append(i)
    read = header_facts([paths[i] for i in asked], options.naming.parts, workers=options.workers)
    for i, said in zip(asked, read, strict=True):
        facts[i] = said
    return facts


def _subfolders(columns: Columns, found: Sequence[bool]) -> Cells:
    names: Cells = []
    rows = zip(columns["path"], columns["root"], columns["domain"], found, strict=True)
    for path, root, domain, in_folder in rows:
        if in_folder:
            below = Path(path).relative_to(root).parts
            names.append(below[0] if len(below) > 1 else Path(root).absolute().name)
        else:
            names.append(domain)
    return names


def _named(columns: Columns, facts: Sequence[Facts], options: HeaderOptions, notes: list[str]) -> dict[str, Cells]:
    """The columns `domain` and `stated_domain`, by the order of `isotone.data.manifests.domain_names`."""
    naming, given = options.naming, columns["domain"]
    stated = columns.get("stated_domain", given)
    # What a map or `domain` names is the user's word, as a column of the manifest is.
    named: list[tuple[str | None, bool]] = []
    for own, is_own, said in zip(given, stated, facts, strict=True):
        raw = own or said.name or options.domain
        new = raw and naming.rename(raw)
        named.append((new, is_own is not None or new != raw or raw != said.name))
    if options.domain is not None and all(own or said.name for own, said in zip(given, facts, strict=True)):
        notes.append(IDLE)
    one = joined((name, is_stated) for name, is_stated in named if name is not None)
    _note_spellings(named, one, notes)
    names = [name if name is None or is_stated else one.get(name, name) for name, is_stated in named]
    if naming.renamed:
        raws = {own or said.name or options.domain for own, said in zip(given, facts, strict=True)}
        unmapped = Naming(by=naming.by)
        met = {naming.entry(raw) for raw in raws if raw}
        met |= {unmapped.split(name, said.parts) for name, said in zip(names, facts, strict=True) if name}
        if idle := [old for old in naming.renamed if old not in met]:
            shown = ", ".join(map(repr, idle[:LISTED])) + (" and others" if len(idle) > LISTED else "")
            notes.append(f"W_NAMES: the domain map names {shown}, and no image is called so")
    return {
        "domain": [name and naming.split(name, said.parts) for name, said in zip(names, facts, strict=True)],
        "stated_domain": [own or options.domain for own in stated],
    }


def _note_spellings(named: Sequence[tuple[str | None, bool]], one: dict[str, str], notes: list[str]) -> None:
    """Say which domain stands for several names: they are not repeated, since headers hold anything."""
    spellings: dict[str, set[str]] = {}
    for name in {name for name, is_stated in named if name is not None and not is_stated}:
        spellings.setdefault(one[name], set()).add(name)
    for domain, names in sorted(spellings.items()):
        versions = {without_version(name)[1] for name in names}
        if len(versions) > 1:
            notes.append(
                f"W_SEEN_SOFTWARE: {domain} stands for {len(versions)} software versions in the names of headers; "
                'domain_by=["software"] splits them'
            )
        elif len(names) > 1:
            notes.append(f"W_NAMES: {domain} stands for {len(names)} spellings in headers")
