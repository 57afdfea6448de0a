"""The harmonizer: one folder, one bank of tone curves, each image mapped by the curve of its own scanner."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

import numpy as np
from numpy.typing import NDArray

from isotone._version import __version__
from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.appearance import look
from isotone.data.descriptors.foreground import RULE, regions
from isotone.data.manifests.domain_names import KnownDomains, Naming
from isotone.data.manifests.manifest import Manifest
from isotone.data.sample import TakeSample
from isotone.errors import IsotoneError, ModelError, RadiographError, UsageError
from isotone.harmonizer.mappers import AdaptiveMapper, Mapper, ScannerMapper, load_mapper
from isotone.harmonizer.model_file import CONFIG, KIND, SCHEMA, checksum, read_model_file, write_model_file
from isotone.harmonizer.pipeline import Labels, Method, fit_mappers, settings_of
from isotone.harmonizer.transform import Transformer
from isotone.imaging.radiograph import Header, Radiograph
from isotone.monitoring.guards import check_guards
from isotone.monitoring.header_novelty import differences, recoded, refuse_other_data
from isotone.monitoring.novelty import Gate
from isotone.monitoring.response_drift import Drift

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
    method : {"scanner", "adaptive", "gdce"}
        "scanner": one curve per scanner, or for each of its presets, by transport of grey levels. "adaptive": that, and
        for each image a share of its own deviation where validation finds that it helps. "gdce": the paper's network,
        one curve per image.
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
    """

    def __init__(
        self,
        reference_domain: str | Sequence[str],
        source_domain: str | Sequence[str],
        *,
        method: Method = "scanner",
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
        self.mappers: dict[str, Mapper] = {}
        self.notes: dict[str, dict[str, Any]] = {}
        self.seen: dict[str, dict[str, dict[str, int]]] = {}
        self.gates: dict[str, Gate] = {}
        self.drifts: dict[str, Drift] = {}
        self.naming = Naming()
        self.labels: Labels = "all"
        self.seed = 0
        self.rule = RULE
        self._digest: str | None = None

    def fit(
        self,
        manifest: Manifest,
        classifier: Classifier | None = None,
        *,
        labels: Labels = "all",
        mix: Mapping[str, float] | None = None,
        seed: int = 0,
        device: str = "cpu",
        workers: int = 1,
        quiet: bool = True,
        on_refusal: Callable[[IsotoneError], None] | None = None,
        folder: str | Path | None = None,
        tensorboard: bool = False,
    ) -> Self:
        """Learn a curve for each source domain from the train and val rows of a manifest.

        Parameters
        ----------
        manifest : Manifest
            Rows of the reference and source domains; without a column `split`, patients are dealt into folds.
            Rows of split "test" are never read.
        classifier : Classifier, optional
            The frozen classifier. None: distributions only (`method="scanner"`).
        labels : {"all", "none"}
            Whether labels of source rows may be read.
        mix : mapping of label to share, optional
            The class mix of each source, where the user knows it (`method="scanner"`).
        seed : int
        device : str
            Where the networks run, e.g. "cuda".
        workers : int
            Processes that read images.
        quiet : bool
            No progress bar.
        on_refusal : callable, optional
            Gets the error of each image that is left out; `notes` has their number.
        folder : path, optional
            Where the harmonizer is saved; with `method="gdce"` also a log of the epochs. Until then the folder keeps
            decoded images and checkpoints, so that the same call goes on after an interruption.
        tensorboard : bool
            Write the log for TensorBoard, too, into ``tensorboard/`` of `folder`.

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
            fitted = fit_mappers(
                manifest,
                self.reference_domains,
                self.source_domains,
                classifier,
                method=self.method,
                settings=settings_of(self.method)(**self.settings)
                if isinstance(self.settings, Mapping)
                else self.settings,
                labels=labels,
                mix=mix,
                seed=seed,
                device=device,
                workers=workers,
                quiet=quiet,
                on_refusal=on_refusal,
                files=files,
            )
            self.mappers, self.notes, self.seen = fitted.mappers, fitted.notes, fitted.seen
            self.gates, self.drifts = fitted.gates, fitted.drifts
            self.naming = manifest.naming
            self.labels, self.seed, self.rule, self._digest = labels, seed, RULE, None
            if files.folder is not None:
                self.save(files.folder)
        return self

    def needs_pixels(self, domain: str | None) -> bool:
        """Whether a domain's curves depend on the image; a scanner's one curve can be had from the header alone."""
        return not isinstance(self.mappers.get(domain or ""), ScannerMapper | None)

    @property
    def known(self) -> KnownDomains:
        """The domains that it knows, and how images come to their names."""
        return KnownDomains((*self.reference_domains, *self.mappers), self.naming)

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
        found = None if domain is None else self.mappers.get(domain)
        if found is None:
            raise RadiographError(
                "E_DOMAIN",
                "the file names no scanner" if domain is None else "no curve was fitted for its scanner",
                file=header.path,
                next_step=self.known.advice(domain),
            )
        return found

    def look(self, radiograph: Radiograph) -> NDArray[np.float64] | None:
        """What an image is compared with the fit by; None where its domain has no gate, or without all its pixels.

        Its look (`isotone.data.descriptors.appearance`), which the gate judges, then its deviation, of batches of which
        `isotone.monitoring.response_drift` does.
        """
        domain = self.domain_of(radiograph.header)
        if domain not in self.gates or radiograph.stored.size == 0 or radiograph.step > 1 or self.rule != RULE:
            return None
        sample = TakeSample()(radiograph)
        parts = regions(sample)
        seen, drift = look(sample, parts.split(self.gates[domain].air)), self.drifts.get(domain)
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
                "the harmonizer was fitted by a build that told air from anatomy otherwise",
                next_step="Fit it again.",
            )

    def curve(
        self, radiograph: Radiograph, *, allow: Collection[str] = (), seen: NDArray[np.float64] | None = None
    ) -> ToneCurve:
        """The curve of an image, by its own domain; the identity for the reference.

        Parameters
        ----------
        radiograph : Radiograph
        allow : collection of str
            Guards to overrule: "intent", "modality", "depth", "look" (`isotone.monitoring.guards`).
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
        self.refuse_other_rule(domain, allow)
        refuse_other_data(radiograph.header, self.seen.get(domain, {}), allow)
        if "look" not in allow:
            seen = self.look(radiograph) if seen is None else seen
            complaint = None if seen is None else self.gates[domain].complaint(seen)
            if complaint is not None:
                raise RadiographError("E_OOD", complaint, file=radiograph.header.path)
        return mapper.curve(radiograph)

    def warnings(self, header: Header) -> tuple[str, ...]:
        """Codes ``W_SEEN_…`` for what differs from the images of the fit: view, software, detector, window …"""
        domain = self.domain_of(header) or ""
        return differences(header, self.seen.get(domain, {}), domain)

    @property
    def digest(self) -> str:
        """SHA-256 of the model as saved, hexadecimal: equal models have equal digests.

        Raises
        ------
        ModelError
            Not fitted yet, or not saved where the model has network weights.
        """
        if self._digest is None:
            if not self.mappers or not all(
                isinstance(m, ScannerMapper | AdaptiveMapper) for m in self.mappers.values()
            ):
                raise ModelError("E_MODEL", "the harmonizer is not fitted, or not saved yet")
            entries = {domain: mapper.save(Path(), "") for domain, mapper in self.mappers.items()}
            self._digest = checksum(self._body(entries))
        return self._digest

    def save(self, folder: str | Path) -> None:
        """Write ``config.json``, and safetensors for the weights of a network; each file whole or not at all."""
        if not self.mappers:
            raise ModelError("E_MODEL", "the harmonizer is not fitted", next_step="Call fit first.")
        target = Path(folder)
        entries = {
            domain: mapper.save(target, f"network-{number}")
            for number, (domain, mapper) in enumerate(self.mappers.items())
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
        body, digest = read_model_file(folder)
        try:
            harmonizer = cls(
                body["reference_domains"], list(body["mappers"]), method=body["method"], settings=body["settings"]
            )
            harmonizer.mappers = {domain: load_mapper(folder, entry) for domain, entry in body["mappers"].items()}
            harmonizer.notes, harmonizer.seen = body["notes"], recoded(body["seen"])
            harmonizer.gates = {domain: Gate.from_json(entry) for domain, entry in body["gates"].items() if entry}
            drifts = body.get("drifts", {}).items()
            harmonizer.drifts = {domain: Drift.from_json(entry) for domain, entry in drifts if entry}
            harmonizer.naming = Naming.from_json(body.get("naming") or Naming().to_json())
            harmonizer.labels, harmonizer.seed, harmonizer.rule = body["labels"], body["seed"], body.get("air_rule", 1)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ModelError("E_MODEL", f"the harmonizer's {CONFIG} is damaged", file=folder) from error
        except UsageError as error:
            raise ModelError("E_MODEL", error.what, file=folder) from error
        harmonizer._digest, harmonizer.name = digest, folder.resolve().name
        return harmonizer

    def _body(self, entries: Mapping[str, Any]) -> dict[str, Any]:
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
            "mappers": dict(entries),
            "seen": {domain: self.seen.get(domain, {}) for domain in entries},
            # null where a curve has no gate: a file that lacks the entry is damaged.
            "gates": {domain: None if (own := self.gates.get(domain)) is None else own.to_json() for domain in entries},
            "drifts": {domain: drift.to_json() for domain, drift in self.drifts.items()},
            "notes": {domain: self.notes.get(domain, {}) for domain in entries},
        }


def _names(domains: str | Sequence[str]) -> tuple[str, ...]:
    names = (domains,) if isinstance(domains, str) else tuple(domains)
    if not names or not all(names):
        raise UsageError("a domain has no name")
    return names
