"""Baselines fitted on training images, which are read once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from isotone.baselines.adapted_classifier import ADAPTATIONS
from isotone.baselines.by_name import BASELINES, Normalizer, SourceNormalizer, baseline
from isotone.data.images import map_images
from isotone.data.manifests.manifest import Manifest
from isotone.data.sample import SIZE
from isotone.errors import IsotoneError, UsageError
from isotone.imaging.radiograph import Radiograph


def baseline_names(asked: Sequence[str]) -> list[str]:
    """The names asked for, "all" spelled out, each once.

    Raises
    ------
    UsageError
        An unknown name.
    """
    names = [n for name in asked for n in ([*BASELINES, *ADAPTATIONS] if name == "all" else [name])]
    for name in names:
        if name not in BASELINES and name not in ADAPTATIONS:
            known = ", ".join([*BASELINES, *ADAPTATIONS, "all"])
            raise UsageError(f"no baseline {name!r}", next_step=f"Name one of: {known}.")
    return list(dict.fromkeys(names))


def fit_baselines(
    names: Sequence[str],
    manifest: Manifest,
    reference_domains: Sequence[str],
    *,
    workers: int = 1,
    quiet: bool = False,
) -> tuple[dict[str, Normalizer], list[str]]:
    """Fit normalizers on the rows of split train of the reference domains.

    Those that learn from the source as well get the rows of split train and val of every other domain, as a fit does.

    Returns
    -------
    fitted : dict of name to Normalizer
    notes : list of str
        One sentence for each that could not be fitted.
    """
    sources = [domain for domain in manifest.domains if domain not in reference_domains]
    read = partial(_read, manifest, workers=workers, quiet=quiet)
    images = read(reference_domains, ["train"]) if names else []
    fitted: dict[str, Normalizer] = {}
    notes = []
    for name in names:
        try:
            normalizer = baseline(name).fit(images)
            if isinstance(normalizer, SourceNormalizer):
                normalizer.fit_source(read(sources, ["train", "val"]))
            fitted[name] = normalizer
        except IsotoneError as error:
            notes.append(f"Baseline {name} is left out: {error.what}.")
    return fitted, notes


def _read(
    manifest: Manifest, domains: Sequence[str], splits: Sequence[str], *, workers: int, quiet: bool
) -> list[Radiograph]:
    """What a fit needs of the images; none where the manifest has no such row."""
    try:
        rows = list(manifest.select(domains=list(domains), splits=list(splits)))
    except UsageError:
        return []
    read = map_images(rows, decimated, workers=workers, label="fitting baselines", quiet=quiet)
    return _with_shared_tables([r for _, r in read if not isinstance(r, IsotoneError)])


def decimated(radiograph: Radiograph) -> Radiograph:
    """What a fit needs of an image: every k-th pixel, as `Radiograph.decimated` takes them, and no window."""
    return replace(radiograph.decimated(SIZE), display=None)


def _with_shared_tables(images: Sequence[Radiograph]) -> list[Radiograph]:
    # A tone table has up to 65,536 numbers, and all images of a scanner have the same one.
    tables: dict[bytes, Radiograph] = {}
    return [replace(r, tone=tables.setdefault(r.tone.tobytes(), r).tone) for r in images]
