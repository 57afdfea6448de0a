"""The parameters of a constructor, read and set by name, so that scikit-learn's `clone` works; without it."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Self


class Parameters:
    """Of a class whose constructor keeps each of its parameters in an attribute.

    Attributes
    ----------
    kept_as : mapping of str to str
        Attributes that have another name than their parameter.
    """

    kept_as: ClassVar[dict[str, str]] = {}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """What the constructor was given, by name; `deep` changes nothing: no parameter has parameters of its own."""
        return {
            name: getattr(self, self.kept_as.get(name, name))
            for name, parameter in inspect.signature(type(self).__init__).parameters.items()
            if name != "self" and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        }

    def set_params(self, **parameters: Any) -> Self:
        """Begin anew with other parameters, and not fitted.

        Raises
        ------
        ValueError
            No parameter has this name.
        """
        known = self.get_params()
        if unknown := sorted(parameters.keys() - known.keys()):
            raise ValueError(f"{type(self).__name__} has no parameter {unknown[0]!r}; known: {', '.join(known)}")
        type(self).__init__(self, **(known | parameters))
        return self
