"""Table 1 of a cohort: how many images of each class, by domain, view and split."""

from __future__ import annotations

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
    table = manifest.table.fillna({"label": "no label", "split": "no split", "domain": "no domain"})
    keys = ["domain", "view"] if "view" in table else ["domain"]
    labels = class_order(table["label"])
    splits = [name for name in ("train", "val", "test", "no split") if (table["split"] == name).any()]
    drawn = Table(title=f"Images per class ({' / '.join(splits)})")
    drawn.caption = f"{len(table)} images of {table['patient_id'].nunique()} patients"
    for name in [*keys, *labels, "images", "patients"]:
        drawn.add_column(name)
    for group, part in table.groupby(keys, dropna=False):
        counts = part.groupby(["label", "split"]).size()
        cells = [" / ".join(str(counts.get((label, split), 0)) for split in splits) for label in labels]
        drawn.add_row(*map(str, group), *cells, str(len(part)), str(part["patient_id"].nunique()))
    return drawn
