"""A harmonizer or a baseline as a step of a scikit-learn `Pipeline`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone

from isotone.baselines.by_name import Normalizer
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.radiograph import Radiograph


class ImageTransformer(TransformerMixin, BaseEstimator):
    """Maps images by a harmonizer, which stays as it was fitted, or by a baseline, which is fitted with the pipeline.

    `clone` keeps a harmonizer and its fit, as scikit-learn's ``FrozenEstimator`` does: its scanners are no part of a
    cross-validation. Of a baseline it gives an unfitted one, which then learns from the images of each fold, taken as
    the reference.

    Parameters
    ----------
    method : ToneCurveHarmonizer or a baseline of `isotone.baselines.by_name`
    domain, bits, inverted
        As for `isotone.Radiograph.from_array`; for arrays alone.
    allow : collection of str
        As for `isotone.ToneCurveHarmonizer.curve`; for harmonizers alone.

    Attributes
    ----------
    method_ : ToneCurveHarmonizer or baseline
        Fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> import isotone
    >>> from isotone.interop.sklearn import ImageTransformer
    >>> images = np.random.default_rng(0).random((20, 8, 8))
    >>> flat = FunctionTransformer(lambda x: x.reshape(len(x), -1))
    >>> steps = make_pipeline(ImageTransformer(isotone.ZScore()), flat, LogisticRegression())
    >>> steps.fit(images, np.arange(20) % 2).predict(images).shape
    (20,)
    """

    def __init__(
        self,
        method: Any,
        *,
        domain: str | None = None,
        bits: int | None = None,
        inverted: bool | None = None,
        allow: Collection[str] = (),
    ) -> None:
        self.method = method
        self.domain = domain
        self.bits = bits
        self.inverted = inverted
        self.allow = allow

    def __sklearn_clone__(self) -> Self:
        said: dict[str, Any] = self.get_params(deep=False)
        return type(self)(**said | {"method": self.method if self._is_frozen else clone(self.method)})

    @property
    def _is_frozen(self) -> bool:
        return isinstance(self.method, ToneCurveHarmonizer)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit a baseline on these images; a harmonizer stays as it is.

        Parameters
        ----------
        X : array of shape (n, rows, columns) or (n, 1, rows, columns), or sequence of Radiograph
        y : ignored

        Raises
        ------
        IsotoneError, TypeError, ValueError
            As the baseline's fit, and as `isotone.Radiograph.from_array`.
        """
        self.method_ = self.method if self._is_frozen else clone(self.method).fit(self._radiographs(X))
        return self

    def transform(self, X: Any) -> Any:
        """The images through the method.

        Parameters
        ----------
        X : array of shape (n, rows, columns) or (n, 1, rows, columns), or sequence of Radiograph

        Returns
        -------
        array or list
            Of the type and shape of `X`; a baseline makes float32 of any array.

        Raises
        ------
        IsotoneError, TypeError, ValueError
            As the method's transform, and as `isotone.Radiograph.from_array`.
        """
        method: Normalizer = self.method_
        if not isinstance(X, np.ndarray):
            return [method.transform(image) for image in X]
        if isinstance(method, ToneCurveHarmonizer):
            said = {"domain": self.domain, "bits": self.bits, "inverted": self.inverted}
            return np.stack([method.transform(image, allow=self.allow, **said) for image in X])
        return np.stack([method.transform(image).pixels for image in self._radiographs(X)]).reshape(X.shape)

    def _radiographs(self, X: Iterable[Any]) -> list[Radiograph]:
        if not isinstance(X, np.ndarray):
            return list(X)
        return Radiograph.from_batch(X, bits=self.bits, inverted=bool(self.inverted), domain=self.domain)
