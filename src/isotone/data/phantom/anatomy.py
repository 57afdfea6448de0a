"""A compressed breast and what X-rays leave of it: outline, thickness, texture, Beer–Lambert, quanta.

Lengths in mm. Craniocaudal view; the chest wall is the image's edge.

References
----------
Burgess AE, Jacobson FL, Judy PF (2001). Human observer detection experiments with mammograms and power-law
noise. Med Phys 28(4):419–437 (power spectra of mammograms fall as 1/f^β, β about 3).
Johns PC, Yaffe MJ (1987). X-ray characterisation of normal and neoplastic breast tissues. Phys Med Biol
32(6):675–695 (linear attenuation coefficients).
Yaffe MJ et al. (2009). The myth of the 50-50 breast. Med Phys 36(12):5437–5443 (glandular fractions: mean
19 %, 95 % of women below 45 %; compressed thickness 59 ± 16 mm, here 56 ± 3, because thickness hides density and a
few hundred images are too few for a network to learn that).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

Floats = NDArray[np.float64]

CLASSES = ("A", "B", "C", "D")
"""Density classes, from almost entirely fatty to extremely dense."""

GLANDULAR_FRACTION = {"A": 0.03, "B": 0.095, "C": 0.21, "D": 0.48}
"""Median share of the compressed volume, skin apart, that is fibroglandular tissue."""

FRACTION_SPREAD = 0.12
"""Standard deviation of the fraction's logarithm within a class; thickness and texture blur the classes further."""

MU_ADIPOSE = 0.0456
MU_GLANDULAR = 0.0802
"""Linear attenuation at 20 keV, 1/mm (Johns & Yaffe 1987: fat 0.456/cm, fibroglandular tissue 0.802/cm)."""

SKIN_MM = 1.5
"""Skin on each face, counted as fibroglandular."""

NIPPLE_MM = 6.0
"""Radius of the nipple."""

QUANTA_PER_MM2 = 1e6
"""Quanta detected per mm² where nothing is in the beam; behind 50 mm of fat a tenth is left."""

BETA = 3.0
"""Exponent of the texture's power spectrum 1/f^β (Burgess et al. 2001)."""

CORRELATION_MM = 50.0
"""Where the power law flattens: a texture has no structures larger than the breast."""

OVERLAPPING_SLABS = 3
"""Sheets of tissue that lie over one another along a ray, each with a texture of its own."""

FIELD_MM = 240.0
"""Height of the field of view; its width is 0.8 of it."""


@dataclass(frozen=True)
class Anatomy:
    """What the two breasts of one woman share, and in what they differ a little.

    Attributes
    ----------
    depth, half_height : float
        From the chest wall to the nipple, and from the middle to either end at the chest wall, mm.
    squareness : float
        Exponent of the outline's superellipse; 2 is an ellipse.
    tilt : float
        How much more tissue lies laterally, as a share of the radius.
    thickness : float
        Between the plates, mm.
    glandular_fraction : float
        By volume, 0 to 1.
    clumping : float
        How sharply glandular islands stand out from the fat between them.
    """

    depth: float
    half_height: float
    squareness: float
    tilt: float
    thickness: float
    glandular_fraction: float
    clumping: float

    @classmethod
    def draw(cls, rng: np.random.Generator, density: str) -> Self:
        """A woman of one density class; dense breasts are thinner and smaller on average."""
        rank = CLASSES.index(density) - 1.5
        half_height = np.clip(rng.normal(95 - 3 * rank, 9), 65, 114)
        return cls(
            depth=float(half_height * np.clip(rng.normal(1.05, 0.1), 0.8, 1.35)),
            half_height=float(half_height),
            squareness=float(rng.uniform(2.0, 2.5)),
            tilt=float(rng.normal(0.06, 0.04)),
            thickness=float(np.clip(rng.normal(56 - 1.5 * rank, 3), 40, 72)),
            glandular_fraction=float(GLANDULAR_FRACTION[density] * np.exp(rng.normal(0, FRACTION_SPREAD))),
            clumping=float(rng.uniform(2.2, 2.8)),
        )

    def other_side(self, rng: np.random.Generator) -> Self:
        """The same woman's other breast: a few per cent different in everything."""
        values = {name: value * np.exp(rng.normal(0, 0.03)) for name, value in vars(self).items()}
        return type(self)(**values)


def draw_breast(
    rng: np.random.Generator,
    anatomy: Anatomy,
    size: int,
    *,
    laterality: str = "L",
    field_mm: float = FIELD_MM,
    quanta_per_mm2: float = QUANTA_PER_MM2,
) -> Floats:
    """One exposure: the line integral of attenuation as a counting detector measures it.

    Parameters
    ----------
    rng : Generator
        Draws the texture and the quanta.
    anatomy : Anatomy
        The breast.
    size : int
        Rows of the image; columns are 0.8 of them.
    laterality : str
        "L": chest wall on the left of the image; "R": mirrored.
    field_mm : float
        Height of the field of view; smaller ones show less background.
    quanta_per_mm2 : float
        Of the open field.

    Returns
    -------
    float64 array of shape (size, round(0.8 · size))
        −ln(detected quanta / quanta of the open field): about 0 in air, 1.5 to 4.5 in tissue, and noisy.
    """
    pitch = field_mm / size
    shape = (size, round(0.8 * size))
    thickness, glandular = _tissue(rng, anatomy, shape, pitch)
    skin = np.minimum(2 * SKIN_MM, thickness)
    attenuation = MU_ADIPOSE * (thickness - skin - glandular) + MU_GLANDULAR * (glandular + skin)
    open_field = quanta_per_mm2 * pitch**2
    quanta = rng.poisson(open_field * np.exp(-attenuation))
    measured = -np.log(np.maximum(quanta, 1) / open_field)
    return measured if laterality == "L" else measured[:, ::-1]


def power_law_texture(rng: np.random.Generator, shape: tuple[int, int], pitch: float) -> Floats:
    """A Gaussian random field of mean 0 and variance about 1, whose power falls as 1/f^`BETA`.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    pitch : float
        Pixel spacing, mm; the spectrum is the same in mm whatever the sampling.
    """
    rows, columns = shape
    fy, fx = np.fft.fftfreq(rows, pitch)[:, None], np.fft.rfftfreq(columns, pitch)
    knee = 1 / CORRELATION_MM
    density = (BETA - 2) / (2 * np.pi) * knee ** (BETA - 2) / (fy**2 + fx**2 + knee**2) ** (BETA / 2)
    white = np.fft.rfft2(rng.standard_normal(shape))
    return np.asarray(np.fft.irfft2(white * np.sqrt(density) / pitch, s=shape))


def _tissue(rng: np.random.Generator, anatomy: Anatomy, shape: tuple[int, int], pitch: float) -> tuple[Floats, Floats]:
    """Thickness of the breast and of the glandular tissue in it along each ray, mm."""
    rows, columns = shape
    x = (np.arange(columns) + 0.5) * pitch
    y = (np.arange(rows)[:, None] + 0.5 - rows / 2) * pitch
    angle = np.arctan2(y, x)
    radius = np.hypot(x, y)
    edge = _outline(anatomy, angle)
    inside = np.maximum(edge - radius, 0)
    # Between the plates the tissue bulges out as a half circle: thickness rolls off over half of it.
    roll = anatomy.thickness / 2
    thickness = anatomy.thickness * np.sqrt(1 - (1 - np.minimum(inside / roll, 1)) ** 2)

    nipple = 1 - ((x - anatomy.depth) ** 2 + y**2) / NIPPLE_MM**2
    thickness = np.maximum(thickness, 2 * NIPPLE_MM * np.sqrt(np.maximum(nipple, 0)))

    core = np.maximum(thickness - 2 * SKIN_MM, 0)
    # Parenchyma fills the middle and narrows towards the nipple; fat lies under the skin and on the muscle.
    x_rel, r_rel = x / anatomy.depth, radius / edge
    envelope = -14 * np.maximum(r_rel - 0.7, 0) - 8 * np.maximum(0.15 - x_rel, 0) - 1.5 * np.abs(y) / edge
    slabs = [envelope + anatomy.clumping * power_law_texture(rng, shape, pitch) for _ in range(OVERLAPPING_SLABS)]

    def share(offset: float, step: int = 1) -> Floats:
        return np.asarray(sum(expit(slab[::step, ::step] + offset) for slab in slabs) / len(slabs))

    def excess(offset: float) -> float:
        coarse = core[::3, ::3]
        return float((share(offset, 3) * coarse).sum() / coarse.sum() - anatomy.glandular_fraction)

    return thickness, core * share(brentq(excess, -40, 40, xtol=1e-4))


def _outline(anatomy: Anatomy, angle: Floats) -> Floats:
    """Distance from the middle of the chest wall to the skin in each direction: a superellipse."""
    p = anatomy.squareness
    cosine, sine = np.abs(np.cos(angle)), np.abs(np.sin(angle))
    radius = ((cosine / anatomy.depth) ** p + (sine / anatomy.half_height) ** p) ** (-1 / p)
    return np.asarray(radius * (1 - anatomy.tilt * np.sin(angle)))
