"""Baselines fitted on the reference domain's training images, which are read once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from isotone.baselines.adapted_classifier import ADAPTATIONS
from isotone.baselines.by_name import BASELINES, Normalizer, baseline
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

    Returns
    -------
    fitted : dict of name to Normalizer
    notes : list of str
        One sentence for each that could not be fitted.
    """
    images: list[Radiograph] = []
    if names:
        try:
            rows = list(manifest.select(domains=list(reference_domains), splits=["train"]))
        except UsageError:
            rows = []
        read = map_images(rows, decimated, workers=workers, label="fitting baselines", quiet=quiet)
        images = _with_shared_tables([r for _, r in read if not isinstance(r, IsotoneError)])
    fitted: dict[str, Normalizer] = {}
    notes = []
    for name in names:
        try:
            fitted[name] = baseline(name).fit(images)
        except IsotoneError as error:
            notes.append(f"Baseline {name} is left out: {error.what}.")
    return fitted, notes


def decimated(radiograph: Radiograph) -> Radiograph:
    """What a fit needs of an image: every k-th pixel, as `Radiograph.decimated` takes them, and no window."""
    return replace(radiograph.decimated(SIZE), display=None)


def _with_shared_tables(images: Sequence[Radiograph]) -> list[Radiograph]:
    # A tone table has up to 65,536 numbers, and all images of a scanner have the same one.
    tables: dict[bytes, Radiograph] = {}
    return [replace(r, tone=tables.setdefault(r.tone.tobytes(), r).tone) for r in images]
