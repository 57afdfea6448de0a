"""The four collections: which scanner is the reference, and which stand where the paper's stand."""

from __future__ import annotations

from dataclasses import dataclass, field

from isotone.data.cohorts import embed, nih, rsna
from isotone.data.phantom.scanners import ALDER, BIRCH, CEDAR, DOGWOOD


@dataclass(frozen=True)
class Collection:
    """Images that the experiments run on.

    Attributes
    ----------
    reference : str
        The reference domain.
    sources : tuple of str
        The source domains.
    figure_3, figure_4 : str
        The source domain in the place of Senograph (Fig. 3 and 5), and of Clearview (Fig. 4, 6 and 7).
    weight : float
        λ of the authors' loss: 0.95 for mammograms, 0.5 for chest radiographs.
    projection : bool
        Whether a scanner is told by projection too, so that PA is given alone, beside the rule "AP means …".
    cropped : bool
        Whether images are cropped to the anatomy first, as the authors did with EMBED.
    images : int
        Training images per class and domain, for the estimate of time.
    classes : tuple of int
        Number of classes in the training images of the reference and of a source domain, for the same.
    needs : str
        Where to get the data; "" where none are needed.
    published : dict
        The paper's numbers by (domain, method, metric); Table 1 as (domain, label, "train" or "test").
    """

    reference: str
    sources: tuple[str, ...]
    figure_3: str
    figure_4: str
    weight: float
    projection: bool
    cropped: bool
    images: int
    classes: tuple[int, int]
    needs: str
    published: dict[tuple[str, str, str], float] = field(default_factory=dict)


def _table_one(cells: dict[tuple[str, str], tuple[int, int]]) -> dict[tuple[str, str, str], float]:
    return {
        (*cell, split): count
        for cell, counts in cells.items()
        for split, count in zip(("train", "test"), counts, strict=True)
    }


SELENIA, CLEARVIEW, SENOGRAPH = "Selenia Dimensions", "Clearview CSm", "Senograph 2000D"

COLLECTIONS = {
    "phantom": Collection(
        reference=ALDER.domain,
        sources=(BIRCH.domain, CEDAR.domain, DOGWOOD.domain),
        figure_3=DOGWOOD.domain,
        figure_4=BIRCH.domain,
        weight=0.95,
        projection=False,
        cropped=False,
        images=50,
        classes=(4, 2),
        needs="",
    ),
    "nih": Collection(
        reference="spacing 0.168",
        sources=("spacing 0.143", "spacing 0.171"),
        figure_3="spacing 0.143",
        figure_4="spacing 0.143",
        weight=0.5,
        projection=True,
        cropped=False,
        images=60,
        classes=(2, 2),
        needs=nih.ORIGIN,
    ),
    "rsna": Collection(
        reference="brand Y",
        sources=("brand X",),
        figure_3="brand X",
        figure_4="brand X",
        weight=0.5,
        projection=True,
        cropped=False,
        images=400,
        classes=(2, 2),
        needs=rsna.ORIGIN,
        published={
            ("brand X", "none", "precision"): 0.5533,
            ("brand X", "none", "recall"): 0.97,
            ("brand X", "gdce", "precision"): 0.7098,
            ("brand X", "gdce", "recall"): 0.733,
            ("brand Y", "none", "precision"): 0.7539,
            ("brand Y", "none", "recall"): 0.744,
            **_table_one({(b, c): (400, 100) for b in ("brand X", "brand Y") for c in ("negative", "positive")}),
        },
    ),
    "embed": Collection(
        reference=SELENIA,
        sources=(CLEARVIEW, SENOGRAPH),
        figure_3=SENOGRAPH,
        figure_4=CLEARVIEW,
        weight=0.95,
        projection=False,
        cropped=True,
        images=400,
        classes=(4, 2),
        needs=embed.ORIGIN,
        published={
            (SENOGRAPH, "none", "auc"): 0.52,
            (SENOGRAPH, "display-window", "auc"): 0.80,
            (SENOGRAPH, "gdce", "auc"): 0.89,
            (CLEARVIEW, "none", "auc"): 0.90,
            (CLEARVIEW, "z-score", "auc"): 0.88,
            (CLEARVIEW, "gdce", "auc"): 0.90,
            **_table_one({(SELENIA, c): (400, 100) for c in "ABCD"}),
            **_table_one({(d, c): (400, 100) for d in (CLEARVIEW, SENOGRAPH) for c in "BC"}),
            **_table_one({(CLEARVIEW, "A"): (0, 123), (CLEARVIEW, "D"): (0, 81)}),
            **_table_one({(SENOGRAPH, "A"): (0, 52), (SENOGRAPH, "D"): (0, 94)}),
        },
    ),
}
"""By the name that ``isotone reproduce`` takes; the published numbers are those of the paper's Tables 1 and 2 and of
its Fig. 3 and 4."""
