"""A curve from measured pairs of grey levels."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from isotone.cli.app import app
from isotone.errors import IsotoneError
from isotone.estimation.measured_points import curve_of_points
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.radiograph import Radiograph

WEDGE = np.linspace(0.05, 0.95, 11)
"""Grey levels of the steps on the reference."""
BETWEEN = np.linspace(0.05, 0.95, 97)


@pytest.mark.parametrize("response", [np.sqrt, np.square, lambda x: 0.05 + 0.35 * x**1.4])
def test_the_curve_of_a_wedge_undoes_the_response_between_its_steps(response) -> None:
    curve, _ = curve_of_points(response(WEDGE), WEDGE)
    assert np.abs(curve(response(BETWEEN)) - BETWEEN).max() < 0.02
    assert curve.slope_bounds(*curve.unclipped())[0] > 0


def test_noise_of_the_steps_and_their_order_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    noisy, order = WEDGE + rng.normal(0, 0.003, len(WEDGE)), rng.permutation(len(WEDGE))
    curve, _ = curve_of_points(WEDGE, noisy)
    assert curve == curve_of_points(WEDGE[order], noisy[order])[0]
    assert np.abs(curve(BETWEEN) - BETWEEN).max() < 0.01


@pytest.mark.parametrize(
    ("source", "reference", "said"),
    [
        ([0.1, 0.2, 0.3], [0.2, 0.3, 0.4], "too few"),
        ([0.1, 0.2, 0.3, 0.5], [0.9, 0.7, 0.4, 0.1], "no increasing curve"),
        ([0.1, 0.1, 0.1, 0.1], [0.2, 0.3, 0.4, 0.5], "no increasing curve"),
        ([100, 200, 300, 400], [0.2, 0.3, 0.4, 0.5], "100 is no grey level in [0, 1]"),
        ([0.1, 0.2, 0.3, np.nan], [0.2, 0.3, 0.4, 0.5], "nan is no grey level in [0, 1]"),
    ],
)
def test_what_is_no_wedge_is_refused(source: list[float], reference: list[float], said: str) -> None:
    with pytest.raises(IsotoneError) as refusal:
        curve_of_points(source, reference)
    assert said in str(refusal.value)


def test_the_command_fits_from_points_alone(tmp_path: Path) -> None:
    rows = [f"{x:.6f},{y:.6f}" for x, y in zip(np.sqrt(WEDGE), WEDGE, strict=True)]
    wedge = tmp_path / "wedge.csv"
    wedge.write_text("\n".join(["source,reference", *rows]) + "\n")
    names = ["--reference", "Ref", "--source", "Src", "-o", str(tmp_path / "model")]
    done = CliRunner().invoke(app, ["fit", "--points", str(wedge), *names])
    assert done.exit_code == 0, done.output
    image = Radiograph.from_array(np.sqrt(WEDGE)[None].astype(np.float32), domain="Src")
    curve = ToneCurveHarmonizer.load(tmp_path / "model").curve(image)
    assert np.abs(curve(np.sqrt(WEDGE)) - WEDGE).max() < 0.01
    for wrong in ([], [str(wedge), "--points", str(wedge)]):  # neither, and both
        assert CliRunner().invoke(app, ["fit", *wrong, *names]).exit_code != 0
