"""Out comes the type that went in: a radiograph, an array, a tensor, or whatever a room above this one registers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache, singledispatch
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

import isotone
from isotone._runtime.parameters import Parameters
from isotone.curves.tone_curve import ToneCurve
from isotone.harmonizer.whole_levels import looked_up, through_curve
from isotone.imaging.grey_levels.lookup import gather
from isotone.imaging.radiograph import Radiograph

Image = TypeVar("Image")


class HasCurves(Protocol):
    """What knows the curve of an image."""

    def curve(
        self, radiograph: Radiograph, *, allow: Collection[str] = (), seen: NDArray[np.float64] | None = None
    ) -> ToneCurve:
        """The curve of an image."""
        ...


@dataclass(frozen=True)
class Said:
    """What is said of an image beside the image itself: the parameters of `Transformer.transform`.

    Attributes
    ----------
    domain, bits, inverted, allow, seen
        As there; None where nothing is said.
    """

    domain: str | None = None
    bits: int | None = None
    inverted: bool | None = None
    allow: Collection[str] = ()
    seen: NDArray[np.float64] | None = None


@singledispatch
def transformed(image: Any, harmonizer: HasCurves, said: Said) -> Any:
    """An image of any kind through its curve; a kind registers its own function.

    Raises
    ------
    TypeError
        Nothing is registered for this type.
    """
    if hasattr(image, "is_floating_point") and hasattr(image, "device"):
        return _tensor(image, harmonizer, said)
    isotone.load_transforms()  # those of rooms above
    found = transformed.dispatch(type(image))
    if found is transformed.dispatch(object):
        raise TypeError(
            f"a {type(image).__name__} is no image here: give a Radiograph, an array, a tensor or a pydicom.Dataset"
        )
    return found(image, harmonizer, said)


@transformed.register
def _radiograph(image: Radiograph, harmonizer: HasCurves, said: Said) -> Radiograph:
    if said.bits is not None or said.inverted is not None:
        raise ValueError("a Radiograph has its bits and polarity: give them where it is read or made")
    named = image if said.domain is None else image.with_domain(said.domain)
    return named.map_tone(harmonizer.curve(named, allow=said.allow, seen=said.seen))


@transformed.register
def _array(image: np.ndarray, harmonizer: HasCurves, said: Said) -> NDArray[Any]:
    if image.ndim == 4 and len(image):
        return np.stack([_array(one, harmonizer, said) for one in image])
    return np.asarray(through(image, array_curve(image, harmonizer, said), said))


def _tensor(image: Any, harmonizer: HasCurves, said: Said) -> Any:
    import torch  # it is loaded: there is a tensor

    if image.ndim == 4 and len(image):
        return torch.stack([_tensor(one, harmonizer, said) for one in image])
    return through(image, array_curve(image, harmonizer, said), said)


def array_curve(image: Any, harmonizer: HasCurves, said: Said) -> ToneCurve:
    """The curve of an array or tensor of shape (rows, columns) or (1, rows, columns)."""
    pixels = image if isinstance(image, np.ndarray) else _on_cpu(image)
    inverted = False if said.inverted is None else said.inverted
    radiograph = Radiograph.from_array(pixels, bits=said.bits, inverted=inverted, domain=said.domain)
    # Grey levels have no depth that could be another one than the fit's.
    allow = {*said.allow, "depth"} if pixels.dtype.kind == "f" else said.allow
    return harmonizer.curve(radiograph, allow=allow, seen=said.seen)


def through(image: Any, curve: ToneCurve, said: Said) -> Any:
    """An array or tensor through a curve: grey levels exactly, stored values by a table of their bits."""
    if image.dtype.kind == "f" if isinstance(image, np.ndarray) else image.is_floating_point():
        return _floats_through(image, curve, bool(said.inverted))
    stored = image if isinstance(image, np.ndarray) else _on_cpu(image)
    table = _table(curve, 8 if said.bits is None else said.bits, bool(said.inverted), stored.dtype.str)
    levels = gather(table, np.ascontiguousarray(stored))
    return levels if stored is image else image.new_tensor(levels)


def _floats_through(image: Any, curve: ToneCurve, inverted: bool) -> Any:
    if not isinstance(image, np.ndarray) and (image.requires_grad or image.device.type != "cpu"):
        # A look-up has no gradient, and a device computes faster than it hands over.
        return through_curve(image, curve, inverted)
    found = looked_up(image if isinstance(image, np.ndarray) else _on_cpu(image), curve, inverted)
    if found is None:
        return through_curve(image, curve, inverted)
    return found if isinstance(image, np.ndarray) else image.new_tensor(found)


def _on_cpu(tensor: Any) -> NDArray[Any]:
    """The values of a tensor; NumPy has no bfloat16."""
    plain = tensor.detach().cpu()
    return np.asarray((plain.float() if plain.is_floating_point() else plain).numpy())


@lru_cache(maxsize=64)
def _table(curve: ToneCurve, bits: int, inverted: bool, dtype: str) -> NDArray[Any]:
    """The curve over all stored values, in their own type."""
    table = curve.to_lut(bits, bits)
    levels = table[-1:].dtype.type(2**bits - 1) - table[::-1] if inverted else table
    found = levels.astype(dtype)
    found.setflags(write=False)
    return found


class Transformer(Parameters):
    """Takes images of any type through the curves that its `curve` gives; its parameters can be read by name."""

    def transform(
        self: HasCurves,
        image: Image,
        *,
        domain: str | None = None,
        bits: int | None = None,
        inverted: bool | None = None,
        allow: Collection[str] = (),
        seen: NDArray[np.float64] | None = None,
    ) -> Image:
        """The image through its curve; the type that went in comes out.

        Parameters
        ----------
        image : Radiograph, array, tensor or pydicom.Dataset
            Arrays and tensors of shape (rows, columns), (1, rows, columns) or (n, 1, rows, columns): floats in [0, 1],
            which stay exact and through which gradients flow, or stored integers, which come back rounded to the same
            bits. Of a data set the derived image is returned.
        domain : str, optional
            Name of the scanner, as the user knows it.
        bits : int, optional
            Of integers, as for `Radiograph.from_array`.
        inverted : bool, optional
            Whether 0 is white, in arrays, tensors and data sets.
        allow, seen
            As for `curve`.

        Raises
        ------
        TypeError, ValueError
            An array that `Radiograph.from_array` refuses, or what is no image.
        IsotoneError
            As `curve`; of a data set also what reading and deriving refuse.
        """
        found: Image = transformed(image, self, Said(domain, bits, inverted, allow, seen))
        return found
