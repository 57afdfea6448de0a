"""Table 1 of a cohort: how many images of each class, by domain, view and split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rich.table import Table

from isotone.data.class_order import class_order
from isotone.data.manifests.manifest import Manifest


def table_one(manifest: Manifest) -> Table:
    """Count images and patients by domain (and view, where the manifest has that column) and by label and split.

    Returns
    -------
    rich.table.Table
        One row per domain and view; in each column of a label, images of train / val / test.
    """
    columns, rows = manifest.columns, range(len(manifest))
    label, split, domain = ([cell or f"no {name}" for cell in columns[name]] for name in ("label", "split", "domain"))
    keys = ["domain", "view"] if "view" in columns else ["domain"]
    group = list(zip(domain, *(columns[name] for name in keys[1:]), strict=True))
    counts = Counter(zip(group, label, split, strict=True))
    labels = class_order(label)
    splits = [name for name in ("train", "val", "test", "no split") if name in split]
    drawn = Table(title=f"Images per class ({' / '.join(splits)})")
    drawn.caption = f"{len(manifest)} images of {_patients(manifest, rows)} patients"
    for name in [*keys, *labels, "images", "patients"]:
        drawn.add_column(name)
    for own in sorted(set(group), key=lambda cells: [cell or "" for cell in cells]):
        part = [i for i in rows if group[i] == own]
        cells = [" / ".join(str(counts[own, name, where]) for where in splits) for name in labels]
        drawn.add_row(*map(str, own), *cells, str(len(part)), str(_patients(manifest, part)))
    return drawn


def _patients(manifest: Manifest, rows: Iterable[int]) -> int:
    return len({manifest.columns["patient_id"][i] for i in rows} - {None})
