"""The harmonizer: one folder, a tone curve for each scanner, each image mapped by the curve of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, Unpack, get_args

import numpy as np
from numpy.typing import NDArray

from isotone._runtime.run_options import FitKeywords, RunOptions
from isotone._version import __version__
from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.appearance import look
from isotone.data.descriptors.foreground import RULE, regions
from isotone.data.manifests.domain_names import KnownDomains, Naming
from isotone.data.manifests.manifest import Manifest
from isotone.data.sample import TakeSample
from isotone.errors import ModelError, RadiographError, UsageError
from isotone.estimation.stored_arrays import Json
from isotone.harmonizer.fitted_scanner import FittedScanner
from isotone.harmonizer.mappers import Mapper, PlainMapper, ScannerMapper, corrected_by_image
from isotone.harmonizer.model_file import (
    CONFIG,
    KIND,
    SCHEMA,
    checksum,
    read_model_file,
    scanners_body,
    scanners_of,
    write_model_file,
)
from isotone.harmonizer.notebook import harmonizer_card
from isotone.harmonizer.pipeline import FitPlan, Labels, Method, fit_scanners, settings_of
from isotone.harmonizer.transform import Transformer
from isotone.imaging.radiograph import Header, Radiograph
from isotone.monitoring.guards import check_guards
from isotone.monitoring.header_novelty import differences, refuse_other_data

if TYPE_CHECKING:
    from isotone.networks.classifier import Classifier


class ToneCurveHarmonizer(Transformer):
    """Maps images of source domains onto the reference domain, by one monotone tone curve each.

    Parameters
    ----------
    reference_domain : str or sequence of str
        The scanner, or scanners pooled, that the classifier was trained on. Their images pass through unchanged.
    source_domain : str or sequence of str
        The scanners to map; each gets a curve of its own.
    method : {"auto", "scanner", "adaptive", "gdce"}
        "auto": as "scanner", averaged with each image's histogram matching if that hardly changes the scores.
        "scanner": one curve per scanner, by transport of grey levels. "adaptive", experimental: one curve for each
        acquisition mode of a scanner whose images show several. "gdce": the paper's network, one curve per image.
    settings : pydantic model or mapping, optional
        `ScannerSettings` or `GDCESettings`, or their fields; default: those of the method.

    Examples
    --------
    >>> import isotone
    >>> manifest = isotone.Manifest.read("phantom/manifest.csv")
    >>> harmonizer = isotone.ToneCurveHarmonizer("Alder Mammo One", "Birch Mammo Two").fit(manifest, quiet=True)
    >>> row = next(iter(manifest.select(domains=["Birch Mammo Two"], splits=["test"])))
    >>> image = isotone.read_radiograph(row.path)
    >>> harmonizer.curve(image).certificate(bits_in=12).strictly_monotone
    True
    >>> harmonized = harmonizer.transform(image)

    Attributes
    ----------
    scanners : dict of str to FittedScanner
        By source domain: curves, report of the fit, and what the images of the fit are like.
    overruled : frozenset of str
        Guards that are overruled for every image (`overruling`).
    """

    kept_as: ClassVar = {"reference_domain": "reference_domains", "source_domain": "source_domains"}

    def __init__(
        self,
        reference_domain: str | Sequence[str],
        source_domain: str | Sequence[str],
        *,
        method: Method = "auto",
        settings: Any = None,
    ) -> None:
        self.reference_domains = _names(reference_domain)
        self.source_domains = _names(source_domain)
        if method not in get_args(Method):
            raise UsageError(f"unknown method {method!r}", next_step=f"Use one of: {', '.join(get_args(Method))}.")
        both = set(self.reference_domains) & set(self.source_domains)
        if both:
            raise UsageError(f"{sorted(both)[0]!r} is both reference and source")
        self.method: Method = method
        self.settings = settings
        self.name: str = method
        self.scanners: dict[str, FittedScanner] = {}
        self.naming = Naming()
        self.labels: Labels = "all"
        self.seed = 0
        self.rule = RULE
        self.overruled: frozenset[str] = frozenset()
        self._digest: str | None = None

    def fit(
        self,
        manifest: Manifest,
        classifier: Classifier | None = None,
        *,
        labels: Labels = "all",
        mix: Mapping[str, float] | None = None,
        folder: str | Path | None = None,
        tensorboard: bool = False,
        **run: Unpack[FitKeywords],
    ) -> Self:
        """Learn a curve for each source domain from the train and val rows of a manifest.

        Parameters
        ----------
        manifest : Manifest
            Rows of the reference and source domains; without a column `split`, patients are dealt into folds.
            Rows of split "test" are never read.
        classifier : Classifier, optional
            The frozen classifier. None: distributions only (not of `method="gdce"`).
        labels : {"all", "none"}
            Whether labels of source rows may be read.
        mix : mapping of label to share, optional
            The class mix of each source, where the user knows it (not of `method="gdce"`).
        folder : path, optional
            Where the harmonizer is saved; with `method="gdce"` also a log of the epochs. Until then the folder keeps
            decoded images and checkpoints, so that the same call goes on after an interruption.
        tensorboard : bool
            Write the log for TensorBoard, too, into ``tensorboard/`` of `folder`.
        **run
            ``seed``, ``device``, ``workers``, ``quiet``, ``on_refusal``: `isotone._runtime.run_options.RunOptions`.

        Raises
        ------
        UsageError
            A domain that is not in the manifest, or labels or a classifier that the method needs and lacks.
        IsotoneError
            E_DATA: too few readable images. E_EXTRA: TensorBoard is not installed.
        """
        from isotone.networks.training.run_files import RunFiles

        if classifier is not None and not hasattr(classifier, "prepare"):
            raise UsageError(
                "a bare network does not say how it wants its images",
                next_step="Wrap it: isotone.Classifier.from_module(network, classes=…, image_size=…).",
            )
        files = RunFiles(None if folder is None else Path(folder), tensorboard=tensorboard)
        with files.until_saved():
            run.setdefault("quiet", True)
            options = RunOptions(**run)
            self.scanners = fit_scanners(manifest, self._plan(labels, mix), classifier, options, files)
            self.naming = manifest.naming
            self.labels, self.seed, self.rule, self._digest = labels, options.seed, RULE, None
            if files.folder is not None:
                self.save(files.folder)
        return self

    def _plan(self, labels: Labels, mix: Mapping[str, float] | None) -> FitPlan:
        settings = self.settings
        if isinstance(settings, Mapping):
            settings = settings_of(self.method)(**settings)
        return FitPlan(self.reference_domains, self.source_domains, self.method, settings, labels, mix)

    def needs_pixels(self, domain: str | None) -> bool:
        """Whether a domain's curves depend on the image; a scanner's one curve can be had from the header alone."""
        scanner = self.scanners.get(domain or "")
        return scanner is not None and not isinstance(scanner.mapper, ScannerMapper)

    @property
    def known(self) -> KnownDomains:
        """The domains that it knows, and how images come to their names."""
        return KnownDomains((*self.reference_domains, *self.scanners), self.naming)

    def domain_of(self, header: Header) -> str | None:
        """The domain of an image as the harmonizer calls it; else as the header does."""
        return self.known.of(header) or header.domain

    def mapper(self, header: Header) -> Mapper | None:
        """How the images of the header's scanner get their curves; None for the reference.

        Raises
        ------
        RadiographError
            E_DOMAIN: no scanner this harmonizer knows.
        """
        domain = self.domain_of(header)
        if domain in self.reference_domains:
            return None
        found = None if domain is None else self.scanners.get(domain)
        if found is None:
            raise RadiographError(
                "E_DOMAIN",
                "the file names no scanner" if domain is None else "no curve was fitted for its scanner",
                file=header.path,
                next_step=self.known.advice(domain),
            )
        return found.mapper

    def passing(self, domain: str | None, allow: Collection[str] = ()) -> Literal["reference", "kept"] | None:
        """Why images of a domain stay as they are; None where they get a curve.

        "reference": they are of the reference domain. "kept": the fit predicts no good of a curve (W_HARMS,
        W_NO_GAIN), and neither `allow` nor `overruled` holds "harm".
        """
        if domain in self.reference_domains:
            return "reference"
        scanner = self.scanners.get(domain or "")
        return "kept" if scanner is not None and scanner.kept and "harm" not in {*allow, *self.overruled} else None

    def overruling(self, guards: Collection[str]) -> Self:
        """A harmonizer of the same scanners that overrules guards for every image: for whoever cannot say `allow`.

        Raises
        ------
        UsageError
            No guard has such a name.
        """
        check_guards(guards)
        other = copy(self)
        other.overruled = frozenset(guards)
        return other

    def look(self, radiograph: Radiograph) -> NDArray[np.float64] | None:
        """What an image is compared with the fit by; None where its domain has no gate, or without all its pixels.

        Its look (`isotone.data.descriptors.appearance`), which the gate judges, then its deviation, of batches of which
        `isotone.monitoring.response_drift` does.
        """
        scanner = self.scanners.get(self.domain_of(radiograph.header) or "")
        if scanner is None or scanner.novelty is None or self.rule != RULE:
            return None
        if radiograph.stored.size == 0 or radiograph.step > 1:
            return None
        sample = TakeSample()(radiograph)
        parts = regions(sample)
        seen, drift = look(sample, parts.split(scanner.novelty.air)), scanner.drift
        return np.concatenate([seen, np.empty(0) if drift is None else drift.of(sample, parts)])

    def refuse_other_rule(self, domain: str | None, allow: Collection[str] = ()) -> None:
        """Refuse a harmonizer whose fit told air from anatomy by another rule: no image can be compared with it.

        Raises
        ------
        ModelError
            E_MODEL: of such a fit; with "look" allowed, only where the curves themselves depend on the image.
        """
        if self.rule != RULE and ("look" not in allow or self.needs_pixels(domain)):
            raise ModelError(
                "E_MODEL",
                "the harmonizer was fitted by a build that told air from anatomy, or images apart, otherwise",
                next_step="Fit it again.",
            )

    def curve(
        self, radiograph: Radiograph, *, allow: Collection[str] = (), seen: NDArray[np.float64] | None = None
    ) -> ToneCurve:
        """The curve of an image, by its own domain; the identity for the reference, and for what stays as it is.

        Parameters
        ----------
        radiograph : Radiograph
        allow : collection of str
            Guards to overrule: "intent", "modality", "depth", "look", "harm" (`isotone.monitoring.guards`).
        seen : float64 array, optional
            What `look` gives for the image, where that is known already.

        Raises
        ------
        UsageError
            No guard has a name in `allow`.
        RadiographError
            E_DOMAIN: no scanner this harmonizer knows; E_INTENT, E_OOD: data it was not fitted on
            (`isotone.monitoring.header_novelty`, `isotone.monitoring.novelty`).
        ModelError
            As `refuse_other_rule`.
        """
        mapper, domain = self.mapper(radiograph.header), self.domain_of(radiograph.header) or ""
        if mapper is None:
            return ToneCurve()
        check_guards(allow)
        allow = {*allow, *self.overruled}
        if self.passing(domain, allow) is not None:
            return ToneCurve()
        self.refuse_other_rule(domain, allow)
        scanner = self.scanners[domain]
        refuse_other_data(radiograph.header, scanner.headers, allow)
        if "look" not in allow:
            seen = self.look(radiograph) if seen is None else seen
            complaint = None if seen is None or scanner.novelty is None else scanner.novelty.complaint(seen)
            if complaint is not None:
                raise RadiographError("E_OOD", complaint, file=radiograph.header.path)
        return mapper.curve(radiograph)

    def warnings(self, header: Header) -> tuple[str, ...]:
        """Codes ``W_SEEN_…`` for what differs from the images of the fit: view, software, detector, window …"""
        domain = self.domain_of(header) or ""
        scanner = self.scanners.get(domain)
        return differences(header, {} if scanner is None else scanner.headers, domain)

    def _repr_html_(self) -> str:
        """For a notebook (`isotone.harmonizer.notebook`)."""
        return harmonizer_card(self, self.scanners)

    @property
    def digest(self) -> str:
        """SHA-256 of the model as saved, hexadecimal: equal models have equal digests.

        Raises
        ------
        ModelError
            Not fitted yet, or not saved where the model has network weights.
        """
        if self._digest is None:
            mappers = {domain: scanner.mapper for domain, scanner in self.scanners.items()}
            if not mappers or not all(isinstance(m, PlainMapper) for m in mappers.values()):
                raise ModelError("E_MODEL", "the harmonizer is not fitted, or not saved yet")
            self._digest = checksum(self._body({domain: m.save(Path(), "") for domain, m in mappers.items()}))
        return self._digest

    def save(self, folder: str | Path) -> None:
        """Write ``config.json``, and safetensors for the weights of a network; each file whole or not at all."""
        if not self.scanners:
            raise ModelError("E_MODEL", "the harmonizer is not fitted", next_step="Call fit first.")
        target = Path(folder)
        entries = {
            domain: scanner.mapper.save(target, f"network-{number}")
            for number, (domain, scanner) in enumerate(self.scanners.items())
        }
        # Written last: a folder without it is not a model.
        self._digest = write_model_file(target, self._body(entries))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The harmonizer that `save` wrote.

        Raises
        ------
        UsageError
            No such folder.
        ModelError
            Damaged, altered, foreign or of a later schema.
        """
        folder = Path(folder)
        if not folder.exists():
            raise UsageError("no such harmonizer", code="E_READ", file=folder)
        found, digest = read_model_file(folder)
        try:
            method: Any = found.method
            harmonizer = cls(found.reference_domains, list(found.mappers), method=method, settings=found.settings)
            harmonizer.scanners = scanners_of(found, folder)
            naming = found.naming
            harmonizer.naming = Naming() if naming is None else Naming.from_json(naming.model_dump())
            harmonizer.labels, harmonizer.seed, harmonizer.rule = found.labels, found.seed, found.air_rule
            if any(corrected_by_image(entry) for entry in found.mappers.values()):
                harmonizer.rule = 0  # no rule of today's: see `refuse_other_rule`
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ModelError("E_MODEL", f"the harmonizer's {CONFIG} is damaged", file=folder) from error
        except UsageError as error:
            raise ModelError("E_MODEL", error.what, file=folder) from error
        harmonizer._digest, harmonizer.name = digest, folder.resolve().name
        return harmonizer

    def _body(self, entries: Mapping[str, Json]) -> Mapping[str, object]:
        return {
            "schema": SCHEMA,
            "kind": KIND,
            "version": __version__,
            "method": self.method,
            "labels": self.labels,
            "seed": self.seed,
            "air_rule": self.rule,
            # Paths say something of whoever fitted, and nothing of the fit.
            "settings": dict(self.settings)
            if isinstance(self.settings, Mapping)
            else self.settings and self.settings.model_dump(mode="json", exclude={"perceptual_weights"}),
            "reference_domains": list(self.reference_domains),
            "naming": self.naming.to_json(),
            **scanners_body(self.scanners, entries),
        }


def _names(domains: str | Sequence[str]) -> tuple[str, ...]:
    names = (domains,) if isinstance(domains, str) else tuple(domains)
    if not names or not all(names):
        raise UsageError("a domain has no name")
    return names
