"""Harmonizers in the pipelines of torch and of torchvision's style."""

from pathlib import Path

import numpy as np
import pytest

from harmonizers import CURVE, change, scanner_harmonizer
from isotone.errors import RadiographError
from isotone.imaging.radiograph import Radiograph
from isotone.interop.harmonize import Harmonize

STORED = np.random.default_rng(0).integers(0, 4096, (8, 24, 20)).astype(np.uint16)
WANTED = np.rint(4095 * CURVE(STORED / 4095)).astype(np.uint16)


class Stack:
    """A dataset with a transform, as torch.utils.data takes them."""

    def __init__(self, transform: object) -> None:
        self.transform = transform

    def __len__(self) -> int:
        return len(STORED)

    def __getitem__(self, number: int) -> np.ndarray:
        return self.transform(STORED[number])  # type: ignore[no-any-return, operator]


def test_a_step_maps_whatever_comes_and_says_what_it_is(tmp_path: Path) -> None:
    scanner_harmonizer("any").save(tmp_path / "curve")
    step = Harmonize(tmp_path / "curve", domain="any", bits=12)
    np.testing.assert_array_equal(step(STORED[0]), WANTED[0])
    image = Harmonize(tmp_path / "curve")(Radiograph.from_array(STORED[0], bits=12, domain="any"))
    np.testing.assert_allclose(image.pixels, CURVE(STORED[0] / 4095), atol=1e-6)
    assert repr(step) == "Harmonize('curve', domain='any')"


def test_a_checked_step_leaves_the_gate_out_and_a_strange_image_is_told_by_its_number() -> None:
    harmonizer = scanner_harmonizer("any")
    step = Harmonize(harmonizer, domain="any", bits=12, allow=["depth"]).checked(STORED)
    assert step.allow == ("depth", "look") or step.allow == ("look", "depth")
    np.testing.assert_array_equal(step(STORED[0]), WANTED[0])
    change(harmonizer, "any", headers={"bits_stored": {"10": 3}})
    with pytest.raises(RadiographError, match="image 1: "):
        Harmonize(harmonizer, domain="any").checked([STORED[0] / 4095, Radiograph.from_array(STORED[0], bits=12)])


@pytest.mark.slow
@pytest.mark.parametrize(("start", "persistent"), [("fork", False), ("spawn", True)])
def test_loader_processes_give_the_same_images_epoch_after_epoch(start: str, persistent: bool) -> None:
    torch = pytest.importorskip("torch")
    step = Harmonize(scanner_harmonizer("any"), domain="any", bits=12)
    loader = torch.utils.data.DataLoader(
        Stack(step), batch_size=4, num_workers=2, persistent_workers=persistent, multiprocessing_context=start
    )
    for _ in range(2):
        np.testing.assert_array_equal(torch.cat([*loader]).numpy(), WANTED)
