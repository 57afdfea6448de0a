"""What is known of a fit, in sentences: for the report, and for whoever prints a curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from isotone.data.trained_on import NO_RECORD
from isotone.estimation.report import Blend, CurveReport, FitReport, MixFrom, ModeReport, ScoreInterval, TrainingOverlap
from isotone.harmonizer.fitted_scanner import FittedScanner, NetworkReport

MIXES: dict[MixFrom, str] = {
    "stated": "was stated by you",
    "labels": "is that of its labels",
    "structure": "was told from the structure of its images, which no response changes",
    "classifier": "was estimated with the frozen classifier on the matched images",
}


def fit_sentences(report: FitReport | NetworkReport | None, labels: str) -> list[str]:
    """Describe the fit of one scanner.

    Parameters
    ----------
    report : FitReport, NetworkReport or None
        Of `isotone.harmonizer.fitted_scanner.FittedScanner`.
    labels : str
        "all", or "none": no label of the scanner was read.

    Returns
    -------
    list of str
        Sentences, warnings last; empty where nothing is known.
    """
    if report is None:
        return []
    if isinstance(report, NetworkReport):
        return [
            *_network(report.epochs),
            *gain_sentences(report),
            *classifier_sentences(report),
            *(f"Warning {warning}." for warning in report.warnings),
        ]
    return [
        *_images(report, labels),
        *(_modes(report.modes) if report.modes else [*_uncertainty(report, report.patients), *_projection(report)]),
        *_blend(report.blend),
        *gain_sentences(report),
        *classifier_sentences(report),
        *(f"Warning {warning}." for warning in report.warnings),
    ]


def gain_sentences(report: FitReport | NetworkReport) -> list[str]:
    """What the curves are expected to do to the classifier, or why nobody knows; none of a model that never asked."""
    if isinstance(report, NetworkReport):
        return ["No gain is predicted: a network's curves differ from image to image."]
    if report.gain is None:
        return [] if report.no_gain is None else [f"No gain is predicted: {report.no_gain}."]
    vary = " This means little: its images vary by their settings." if report.varies else ""
    weak = [] if report.weak is None or report.kept else ["The predicted gain is not used: the classifier is weak."]
    return [f"{report.gain.sentence}.{vary}", *weak]


def classifier_sentences(report: FitReport | NetworkReport, domain: str = "this scanner") -> list[str]:
    """Whether the classifier is weak, and which images the fit did not use it on."""
    return [*([report.weak] if report.weak else ()), *training_sentences(report.training, domain)]


def training_sentences(training: TrainingOverlap | None, domain: str = "this scanner") -> list[str]:
    """Which images the classifier was not asked about in the fit of one scanner, since it was trained on them."""
    if training is None:
        return []
    if not training.recorded:
        return [f"{NO_RECORD}."]
    return [
        f"W_TRAINED_ON The fit does not ask the classifier about {side.left_out} of {side.images} {what}, because the "
        "classifier was trained on them or on other images of the same patients. The fit uses only their grey levels."
        for side, what in (
            (training.reference, "validation images of the reference"),
            (training.source, f"images of {domain}"),
        )
        if side.left_out
    ]


def gain_lines(scanners: Mapping[str, FittedScanner]) -> list[str]:
    """What a fit predicts for each scanner, and what images get of their own matching, for a terminal."""
    reports = {domain: scanner.report for domain, scanner in scanners.items() if scanner.report is not None}
    said = {
        domain: [*_blend(report.blend if isinstance(report, FitReport) else None), *gain_sentences(report)]
        for domain, report in reports.items()
    }
    return [f"{domain}: {line}" for domain, lines in said.items() for line in lines]


def kept_lines(scanners: Mapping[str, FittedScanner]) -> list[str]:
    """Of which scanners images stay as they are, for whoever exports the model."""
    return [
        f"{scanner.kept_for} {domain}: the fit predicts no good of its curve: its images stay as they are"
        for domain, scanner in scanners.items()
        if scanner.kept
    ]


def warning_lines(scanners: Mapping[str, FittedScanner]) -> list[str]:
    """What a fit warns of, for a terminal: training images first, each line once."""
    reports = {domain: scanner.report for domain, scanner in scanners.items() if scanner.report is not None}
    told = [line for domain, report in reports.items() for line in classifier_sentences(report, domain)]
    for domain, report in reports.items():
        told += [f"{domain}: {warning}" for warning in report.warnings]
        for number, mode in enumerate(report.modes if isinstance(report, FitReport) else (), 1):
            told += [f"{domain}, mode {number}: {warning}" for warning in mode.warnings]
    return list(dict.fromkeys(told))


def _network(epochs: Sequence[Mapping[str, float]]) -> list[str]:
    kept = next(row for row in epochs if row["kept"])
    rates = dict.fromkeys(row["learning_rate"] for row in epochs)
    tries = [[row for row in epochs if row["learning_rate"] == rate] for rate in rates]
    said = " and ".join(f"{len(rows)} epochs at a learning rate of {rows[0]['learning_rate']:g}" for rows in tries)
    which = f"number {int(kept['epoch']) + 1}" + (f" at {kept['learning_rate']:g}" if len(tries) > 1 else "")
    own = [row for row in epochs if row["learning_rate"] == kept["learning_rate"]]
    return [
        f"The network was trained for {said}; the one used, {which}, had a worst-group accuracy of "
        f"{kept['worst_group_accuracy']:.2f} on this scanner's labelled validation images."
        + (" It was still improving: it may gain from more epochs." if kept is own[-1] else "")
    ]


def _images(report: FitReport, labels: str) -> list[str]:
    mix = ", ".join(f"{name} {share:.2f}" for name, share in (report.mix or {}).items())
    said = [
        f"Fitted on {report.images} images of {report.patients} patients, against {report.reference_images} of "
        "the reference.",
        f"Its class mix ({mix}) {MIXES.get(report.mix_from, '')}."
        if mix
        else "The class mix was not corrected. If the mixes differ, the curve contains that difference.",
    ]
    if labels == "none":
        said.append(
            "No label of this scanner was used, so its labelled test images test the fit independently. Without "
            "labelled test images, only the reference indicates the gain."
        )
    if report.window < 1:
        said.append(
            "It shows less of the body than the reference, whose images were compared in windows of "
            f"about {report.window:.2g} of each side."
        )
    return said


def _uncertainty(report: CurveReport, patients: int = 2) -> list[str]:
    if report.band is None:
        return []
    if patients == 1:
        return ["No confidence band: it needs at least two patients."]
    said = (
        f"Patients resampled, the curve is known to ±{255 * report.band.half_width:.1f} of 255 grey levels on average "
        "(95 %)"
    )
    return [f"{said}.", *_scores_within(report.score_interval)]


def _scores_within(scores: ScoreInterval | None) -> list[str]:
    """What the curves of the band do to the classifier's scores."""
    if scores is None:
        return []
    changed = f"{100 * scores.decisions:.0f} % of them change" if scores.decisions > 0 else "none of them changes"
    return [
        f"Under the curves within that band, the probability of an image's likeliest class varies by "
        f"{scores.width:.2f} (mean of {scores.images} images), and {changed} class."
    ]


def _projection(report: CurveReport) -> list[str]:
    off = f"{report.projection_rmse_levels_8bit:.1f} of 255 levels (root mean square) away from the free curve of the"
    if not report.free:
        said = [f"The steps are {off} transport."]
    elif report.projection_rmse_levels_8bit > 0:
        said = [f"Steps would be {off} transport, which is used."]
    else:
        said = ["The free curve of the transport is used, as the settings ask."]
    if report.clipped_share > 0:
        said.append(f"{100 * report.clipped_share:.2g} % of the anatomy's grey levels are clipped.")
    return said


def _blend(blend: Blend | None) -> list[str]:
    if blend is None:
        return []
    how = (
        f"the classifier's probabilities on images of the reference before and after it correlate by "
        f"{blend.agreement:.2f}"
    )
    if blend.share == 0:
        said = "All images get the scanner's curve. Histogram matching of single images has no share in it"
        return [f"{said}, because it changes the classifier's output too much: {how}."]
    said = f"Histogram matching of the single image is {100 * blend.share:.0f} % of each curve"
    return [f"{said}, because it hardly changes the classifier's output: {how}."]


def _modes(modes: tuple[ModeReport, ...]) -> list[str]:
    said = [
        f"Its images were taken in {len(modes)} acquisition modes; each gets the curve of the mode that its "
        "structure indicates."
    ]
    for number, mode in enumerate(modes, 1):
        said += [f"Mode {number}: {mode.images} images.", *_uncertainty(mode), *_projection(mode)]
        said += [f"Warning {warning}, for this mode." for warning in mode.warnings]
    return said
