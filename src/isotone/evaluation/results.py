"""What ``results.json`` holds, and the table on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from isotone._runtime.files import write_text
from isotone.errors import UsageError
from isotone.estimation.report import PredictedGain
from isotone.evaluation.bootstrap import Verdict
from isotone.evaluation.metric_table import PAIRED, PairedField
from isotone.evaluation.training_overlap import Training

if TYPE_CHECKING:
    from rich.table import Table

Number = FiniteFloat | None
"""None: undefined, never a made-up number."""
Interval = tuple[FiniteFloat, FiniteFloat] | None
"""95 %, patients resampled; None: too few patients."""
Count = Annotated[int, Field(ge=0, le=2**53)]

LARGEST = 64 * 2**20
"""Bytes of the largest file that is read, far above any run's. Raised, a foreign file costs more memory; set here."""


class Documented(BaseModel):
    """A part of the file: each field is described where it stands, and no other is read."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Gain(Documented):
    """A method against "none" on the same images."""

    difference: Number = None
    """Method minus none."""
    ci: Interval = None
    p: Number = None
    """Two-sided bootstrap, Holm-adjusted over all gains of this metric in the file; None where nothing differs."""
    verdict: Verdict | None = None
    """Better or worse at p below 0.05; not worse: the interval lies above −0.02. None for none and the oracle."""
    recovered_share: Number = None
    """(Method − none) / (oracle − none), where oracle − none is at least 0.10."""
    recovered_share_ci: Interval = None


class Change(Documented):
    """Of a recall, against "none" on the same images."""

    difference: Number = None
    """Method minus none."""
    ci: Interval = None
    gained: Count = 0
    """Images that became right."""
    lost: Count = 0
    """Images that became wrong."""


class ResultRow(Documented):
    """One domain, one method; its metrics are those of `isotone.evaluation.metric_table`, and four that need images."""

    domain: str
    method: str
    reference: bool
    """Whether the domain is one that the classifier was trained on."""
    n: Count
    """Images judged; the same number for every method."""
    patients: Count
    refused: Count = 0
    """How many of them the method would not take: they keep their untouched score."""
    unchanged: bool = False
    """Whether every score is that of none."""
    auc: Number = None
    """Macro one-versus-rest over the classes present; the usual AUC of two classes."""
    auc_ci: Interval = None
    auc_per_class: dict[str, Number] = {}
    worst_group_accuracy: Number = None
    """Lowest recall over the classes present; undefined with one class alone."""
    worst_group_accuracy_ci: Interval = None
    accuracy_per_class: dict[str, Number] = {}
    """Recall."""
    accuracy_per_class_ci: dict[str, Interval] = {}
    """Exact (Clopper–Pearson) where each patient has one image, else patients resampled; so for all shares."""
    accuracy_per_class_change: dict[str, Change] = {}
    precision_per_class: dict[str, Number] = {}
    precision_per_class_ci: dict[str, Interval] = {}
    confusion: list[list[Count]] = []
    """Rows are labels, columns predictions, in the order of the classes."""
    quadratic_kappa: Number = None
    """Three classes or more, taken as ordered."""
    sensitivity: dict[str, Number] = {}
    """At the threshold frozen on the reference."""
    sensitivity_ci: dict[str, Interval] = {}
    specificity: dict[str, Number] = {}
    specificity_ci: dict[str, Interval] = {}
    brier: Number = None
    expected_calibration_error: Number = None
    reliability: list[tuple[FiniteFloat, FiniteFloat, Count]] = []
    """Mean confidence, accuracy, count, in ten intervals of confidence."""
    auc_gain: Gain = Gain()
    worst_group_accuracy_gain: Gain = Gain()
    delong_p: Number = None
    """Two classes: paired DeLong test of the AUC against none, patients as clusters, not adjusted."""
    label_probe_auc: Number = None
    """How well the label is told from the image's curve alone, patient-grouped; 0.5: not at all. None: one curve."""
    wasserstein: Number = None
    """Distance of the pooled foreground grey levels from the reference's, in shares of the full range."""
    maximum_mean_discrepancy: Number = None
    """Of the classifier's frozen features from the reference's."""
    probe_auc: Number = None
    """How well a linear probe on these features tells the domain from the reference; 0.5: not at all."""

    def value(self, metric: PairedField) -> tuple[float | None, tuple[float, float] | None]:
        """A metric and its interval."""
        return getattr(self, metric), getattr(self, f"{metric}_ci")

    def gain(self, metric: PairedField) -> Gain:
        """What the method does to a metric."""
        gain: Gain = getattr(self, f"{metric}_gain")
        return gain


class Shift(Documented):
    """An untouched source domain against the untouched reference: other patients, so not paired."""

    domain: str
    metric: PairedField
    difference: Number = None
    """Source minus reference."""
    ci: Interval = None
    not_comparable: str | None = None
    """Which classes have test images on one side alone: then there is no difference."""


class ViewRow(Documented):
    """One domain, one view, one method."""

    domain: str
    view: str
    method: str
    n: Count
    auc: Number = None
    worst_group_accuracy: Number = None


class Summary(Documented):
    """One method over all source domains where the oracle leaves 0.10 to recover: a ratio of sums."""

    method: str
    metric: PairedField
    domains: list[str]
    recovered_share: Number = None
    recovered_share_ci: Interval = None


class Leakage(Documented):
    """Whether a gain is the scanner's or the label's (with refits)."""

    domain: str
    method: str
    metric: PairedField
    gain: Number = None
    """Method minus none."""
    swapped: Number = None
    """The gain where every image gets another image's curve: it should remain."""
    swapped_ci: Interval = None
    shuffled: Number = None
    """The gain of a fit on shuffled source labels: what remains owes nothing to them."""
    shuffled_ci: Interval = None


class LearningPoint(Documented):
    """A fit on fewer source images (with refits)."""

    domain: str
    method: str
    images: Count
    """Of the source, train and val together."""
    auc: Number = None
    auc_ci: Interval = None
    worst_group_accuracy: Number = None
    worst_group_accuracy_ci: Interval = None


class FitNote(Documented):
    """What the fit of one scanner says of itself."""

    domain: str
    method: str
    sentences: list[str]
    warnings: list[str] = []
    """Each with its code, ``W_…``, first."""
    uncertain_share: Number = None
    """Share of the images looked at whose class is not the same behind all curves of the 95 % band."""
    kept: bool = False
    """Whether the images stay as they are, by W_HARMS or W_NO_GAIN among its warnings: no effect can be measured."""
    predicted: PredictedGain | None = None
    """Gains that the fit predicts without the scanner's labels; null where it could predict none."""


class Refused(Documented):
    """An image that could not be read."""

    image: str
    """SHA-256 of its path, first 16 hexadecimals."""
    domain: str
    code: str


class Provenance(Documented):
    """From what, with what."""

    isotone: str
    python: str
    libraries: dict[str, str] = {}
    seed: int
    manifest: str
    """SHA-256 over the manifest's test rows: domain, label, pixels of each image."""
    classifier: str | None = None
    """SHA-256 of its weights."""
    harmonizers: dict[str, str] = {}
    """SHA-256 of each."""


class Results(Documented):
    """The whole file."""

    schema_version: int = Field(alias="schema", ge=1, le=1)
    classes: list[str]
    reference_domains: list[str]
    rows: list[ResultRow]
    shifts: list[Shift] = []
    summary: list[Summary] = []
    by_view: list[ViewRow] = []
    leakage: list[Leakage] = []
    learning: list[LearningPoint] = []
    fits: list[FitNote] = []
    """Per harmonizer and scanner, in words."""
    grey_statistics_auc: dict[str, Number] = {}
    """Per domain: what nine whole-image grey statistics alone reach, patient-grouped."""
    thresholds: dict[str, Number] = {}
    """Per class, from the reference's validation rows."""
    training: Training | None = None
    """Which images were left out because the classifier was trained on them; None: written before this was asked."""
    refused: list[Refused] = []
    cautions: list[str] = []
    """What must be known before the answer is believed: a code, ``W_…``, and a sentence. Any part of a run may add one;
    all stand on the report's first screen and on the terminal."""
    notes: list[str] = []
    """What was left out, and why."""
    provenance: Provenance

    def row(self, domain: str, method: str) -> ResultRow | None:
        """The row of a domain and method, if there is one."""
        return next((r for r in self.rows if (r.domain, r.method) == (domain, method)), None)

    @property
    def source_domains(self) -> list[str]:
        """The domains with rows that are not the reference, in order."""
        return list(dict.fromkeys(r.domain for r in self.rows if not r.reference))

    @property
    def methods(self) -> list[str]:
        """The methods with rows, in order."""
        return list(dict.fromkeys(r.method for r in self.rows))

    def write(self, path: Path) -> None:
        """Write as JSON."""
        write_text(path, self.model_dump_json(indent=1, by_alias=True) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """The file that `write` wrote.

        Raises
        ------
        UsageError
            Missing, of another schema, or foreign.
        """
        if not path.is_file():  # a pipe would be waited for
            raise UsageError("no results here", code="E_READ", file=path)
        try:
            if path.stat().st_size > LARGEST:
                raise UsageError(f"larger than {LARGEST // 2**20} MiB, as no results are", code="E_RESULTS", file=path)
            body = path.read_bytes()
        except OSError as error:
            raise UsageError("cannot be read", code="E_READ", file=path) from error
        try:
            return cls.model_validate_json(body, strict=True)
        except ValidationError as error:
            found = error.errors(include_url=False)
            first = next((e for e in found if e["loc"] == ("schema",)), found[0])
            where = ".".join(str(part) for part in first["loc"])
            if where == "schema" and first["type"] != "missing":
                said = f"results of schema {str(first['input'])[:20]} are not understood here"
            else:
                said = f"these are no results of isotone: {where[:80]}{': ' if where else ''}{first['msg'][:200]}"
            raise UsageError(said, code="E_RESULTS", file=path) from error

    def table(self) -> Table:
        """Domain × method for the terminal: AUC, worst-group accuracy, recall per class."""
        from rich.table import Table

        table = Table("domain", "method", "n", *(m.title for m in PAIRED), *self.classes)
        for row in self.rows:
            judged = [_with_interval(*row.value(m.field)) for m in PAIRED]
            recall = [_text(row.accuracy_per_class.get(c)) for c in self.classes]
            table.add_row(row.domain, row.method, str(row.n), *judged, *recall)
        return table

    def _repr_html_(self) -> str:
        """The table, cautions and provenance, for a notebook."""
        from isotone.curves.notebook import card, cells

        header = ["domain", "method", "n", *(m.title for m in PAIRED)]
        rows = [[r.domain, r.method, r.n, *(_with_interval(*r.value(m.field)) for m in PAIRED)] for r in self.rows]
        origin = self.provenance
        facts = {
            "reference": ", ".join(self.reference_domains),
            "classes": ", ".join(self.classes),
            "isotone": origin.isotone,
            "seed": origin.seed,
            "images, SHA-256": origin.manifest[:16],
            "classifier, SHA-256": origin.classifier and origin.classifier[:16],
        }
        harmonizers = {f"{name}, SHA-256": digest[:16] for name, digest in origin.harmonizers.items()}
        return card("Results", facts | harmonizers, sentences=self.cautions, table=cells(header, rows))


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _with_interval(value: float | None, ci: tuple[float, float] | None) -> str:
    return _text(value) + (f" [{ci[0]:.2f}, {ci[1]:.2f}]" if ci else "")
