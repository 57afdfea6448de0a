"""One curve on one page: its formula, its numbers, its certificate, a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from isotone._runtime.files import replace_file
from isotone.curves.notebook import curve_panel
from isotone.curves.stages import Affine, InverseStep, Knots, Stage, Step
from isotone.curves.svg import sheet as sheet_of
from isotone.curves.tone_curve import ToneCurve
from isotone.errors import IsotoneError, UsageError, installing
from isotone.estimation.report import Band
from isotone.harmonizer.fitted_scanner import FittedScanner, bands_of
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.harmonizer.mappers import BlendMapper, shared_curves
from isotone.imaging.read import read_radiograph
from isotone.safe_text import printable

GRID = np.linspace(0, 1, 513)


def curves_of(
    harmonizer: ToneCurveHarmonizer, image: Path | None, domain: str | None
) -> dict[str, dict[str, ToneCurve]]:
    """The curves to show, by title: that of the image, or by scanner those of all (or of `domain` alone).

    A scanner of whose images each has a curve of its own has none to show.

    Raises
    ------
    UsageError
        No image is given, and no scanner has a curve to show; or the domain is unknown.
    RadiographError
        The image is refused.
    """
    if image is not None:
        radiograph = read_radiograph(image, domain=domain)
        if domain is not None:
            radiograph = radiograph.with_domain(domain)
        return {str(image): {str(image): harmonizer.curve(radiograph)}}
    scanners = harmonizer.scanners
    if domain not in (None, *scanners):
        raise UsageError("no curve for this domain", next_step=f"Use one of: {', '.join(scanners)}.")
    curves = {name: shared_curves(name, scanner.mapper) for name, scanner in scanners.items() if domain in (None, name)}
    if not any(curves.values()):
        raise UsageError("each image has a curve of its own", next_step="Name an IMAGE.")
    return curves


def only_in_part(scanner: FittedScanner | None) -> list[str]:
    """A sentence where images get more than the scanner's curve that is shown."""
    if scanner is None or not isinstance(scanner.mapper, BlendMapper):
        return []
    return [
        "These numbers are of the scanner's curve alone, and not of delivered images: each gets a part of its own "
        "histogram matching, too. Name an IMAGE for the certificate of its curve."
    ]


def sheet(name: str, curve: ToneCurve, bits: int) -> str:
    """Plain text: the stages from first to last, and the certificate for images of `bits` bits."""
    proof = curve.certificate(bits_in=bits)
    lines = [
        printable(name),
        *(f"  {_formula(stage)}" for stage in curve.stages or (Affine(1.0, 0.0),)),
        f"  strictly monotone: {'yes' if proof.strictly_monotone else 'no'}",
        f"  slope: {proof.min_slope:.4g} to {proof.max_slope:.4g}",
        f"  levels kept: {proof.levels_kept} of {2**bits} ({bits} bits in, {proof.bits_out} out)",
        f"  undone within: {proof.inverse_error_levels:.2g} of {2**bits} levels",
        f"  not clipped: {proof.unclipped[0]:.4f} to {proof.unclipped[1]:.4f}",
    ]
    return "\n".join(lines)


def draw(
    curves: Mapping[str, Mapping[str, ToneCurve]], path: Path, scanners: Mapping[str, FittedScanner] | None = None
) -> None:
    """Plot what `curves_of` gives, with the bands that the reports know; the file's suffix names the format.

    Raises
    ------
    UsageError
        No format has that suffix.
    IsotoneError
        E_EXTRA: PNG and PDF need matplotlib.
    """
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise UsageError(
            f"cannot draw {path.suffix or 'without a suffix'}", file=path, next_step="Name a .svg, .png or .pdf."
        )
    drawn = {title: curve for own in curves.values() for title, curve in own.items()}
    bands = [band for name, own in curves.items() if own for band in bands_of((scanners or {}).get(name), len(own))]
    with replace_file(path) as temporary:
        if path.suffix == ".svg":
            temporary.write_text(_svg(drawn, bands), encoding="utf-8")
        else:
            _with_matplotlib(drawn, bands, temporary, path.suffix[1:])


def _svg(curves: Mapping[str, ToneCurve], bands: Sequence[Band | None]) -> str:
    """A panel for each curve."""
    panels = [curve_panel(*named, band) for named, band in zip(curves.items(), bands, strict=True)]
    return sheet_of(panels, min(len(panels), 3))


def _with_matplotlib(curves: Mapping[str, ToneCurve], bands: Sequence[Band | None], path: Path, kind: str) -> None:
    """All curves over the identity."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise IsotoneError(
            "E_EXTRA", f"{kind.upper()} needs matplotlib", next_step=f"Name a .svg. {installing('plot')}"
        ) from None
    figure = Figure(figsize=(5, 4.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(GRID, GRID, color="0.7", linewidth=1, linestyle="--", label="identity")
    for (name, curve), band in zip(curves.items(), bands, strict=True):
        (line,) = axes.plot(GRID, curve(GRID), linewidth=2, label=name)
        if band:
            axes.fill_between(band.x, band.low, band.high, color=line.get_color(), alpha=0.3, linewidth=0)
    labels = {"xlabel": "grey level in (0 black, 1 white)", "ylabel": "grey level out"}
    axes.set(**labels, xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(loc="upper left", frameon=False, fontsize="small")
    figure.savefig(path, format=kind)


def _formula(stage: Stage) -> str:
    match stage:
        case Step(alpha):
            return f"x ← x {alpha:+.6f} · x · (1 − x)"
        case InverseStep(alpha):
            return f"x ← the x′ with x = x′ {alpha:+.6f} · x′ · (1 − x′)"
        case Affine(gain, offset):
            return f"x ← {gain:.6f} · x {offset:+.6f}, clipped to [0, 1]" if (gain, offset) != (1, 0) else "x ← x"
        case Knots(x, _):
            return f"straight lines through {len(x)} points"
