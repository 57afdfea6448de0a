"""The guards of `apply`: each refuses images that a curve was not made for, and is overruled by its name."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

from isotone.errors import UsageError

Guard = Literal["intent", "modality", "depth", "look", "harmonized", "harm"]
"""What a guard compares.

intent: PresentationIntentType (E_INTENT); modality, depth (BitsStored), look (grey levels and layout): E_OOD;
harmonized: whether isotone made the image (E_ALREADY); harm: whether the fit predicts that the curve harms, or
gains nothing (W_HARMS, W_NO_GAIN), which refuses no image, but keeps it as it is.
"""
GUARDS: tuple[Guard, ...] = get_args(Guard)


def check_guards(allow: Collection[str]) -> None:
    """Refuse a name that no guard has.

    Raises
    ------
    UsageError
        `allow` is a string, or holds an unknown name.
    """
    unknown = [allow] if isinstance(allow, str) else sorted(set(allow) - set(GUARDS))
    if unknown:
        raise UsageError(f"no guard {unknown[0]!r}", next_step=f"Allow some of: {', '.join(GUARDS)}.")


def how_to_allow(guard: Guard) -> str:
    """The clause of a refusal that names its parameter."""
    return f'allow=["{guard}"] applies the curve all the same.'
