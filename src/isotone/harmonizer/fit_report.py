"""What a fit says of itself, in sentences: for the report, and for whoever prints a curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isotone.data.trained_on import NO_RECORD

MIXES = {
    "stated": "was stated by you",
    "labels": "is that of its labels",
    "structure": "was told from the structure of its images, which no response changes",
    "classifier": "was estimated with the frozen classifier on the matched images",
}


def fit_sentences(notes: Mapping[str, Any], labels: str) -> list[str]:
    """Describe the fit of one scanner.

    Parameters
    ----------
    notes : mapping
        Of `ToneCurveHarmonizer.notes`, one domain's.
    labels : str
        "all", or "none": no label of the scanner was read.

    Returns
    -------
    list of str
        Sentences, warnings last; empty where the notes say nothing.
    """
    if "epochs" in notes:
        warnings = notes.get("warnings", ())
        return [*_network(notes["epochs"]), *training_sentences(notes), *(f"Warning {w}." for w in warnings)]
    if "mix_from" not in notes:
        return []
    return [
        *_images(notes, labels),
        *(_presets(notes["presets"]) if "presets" in notes else [*_uncertainty(notes), *_projection(notes)]),
        *_company(notes),
        *(_adaptive(notes["adaptive"]) if "adaptive" in notes else []),
        *training_sentences(notes),
        *(f"Warning {warning}." for warning in notes["warnings"]),
    ]


def training_sentences(notes: Mapping[str, Any], domain: str = "this scanner") -> list[str]:
    """What a reader must know of the classifier: whether it is weak, and which images the fit did not ask it about."""
    weak = notes.get("weak")
    return [*([weak] if weak else ()), *_left_out(notes, domain)]


def _left_out(notes: Mapping[str, Any], domain: str) -> list[str]:
    """Which images the classifier was not asked about in the fit of one scanner, since it was trained on them."""
    training = notes.get("training")
    if training is None:
        return []
    if not training["recorded"]:
        return [f"{NO_RECORD}."]
    return [
        f"W_TRAINED_ON {training[side]['left_out']} of {training[side]['images']} {what} did not validate the fit: the "
        "classifier was trained on them, or on images of the same patients. Their grey levels are used."
        for side, what in (("reference", "validation images of the reference"), ("source", f"images of {domain}"))
        if training[side]["left_out"]
    ]


def _network(epochs: list[dict[str, Any]]) -> list[str]:
    kept = next(row for row in epochs if row["kept"])
    tries = [[row for row in epochs if row["learning_rate"] == rate] for rate in _rates(epochs)]
    said = " and ".join(f"{len(rows)} epochs at a learning rate of {rows[0]['learning_rate']:g}" for rows in tries)
    which = f"number {int(kept['epoch']) + 1}" + (f" at {kept['learning_rate']:g}" if len(tries) > 1 else "")
    own = [row for row in epochs if row["learning_rate"] == kept["learning_rate"]]
    return [
        f"The network was trained for {said}; the one kept, {which}, had a worst-group accuracy of "
        f"{kept['worst_group_accuracy']:.2f} on this scanner's labelled validation images."
        + (" It was still improving: it may gain from more epochs." if kept is own[-1] else "")
    ]


def _rates(epochs: list[dict[str, Any]]) -> list[float]:
    return list(dict.fromkeys(row["learning_rate"] for row in epochs))


def _images(notes: Mapping[str, Any], labels: str) -> list[str]:
    mix = ", ".join(f"{name} {share:.2f}" for name, share in (notes["mix"] or {}).items())
    said = [
        f"Fitted on {notes['images']} images of {notes['patients']} patients, against {notes['reference_images']} of "
        "the reference.",
        f"Its class mix ({mix}) {MIXES[notes['mix_from']]}."
        if mix
        else "The class mix was not corrected for: a scanner with another mix gets it into its tone.",
    ]
    if labels == "none":
        said.append(
            "No label of this scanner was read, so labelled test images, where there are some, judge a fit that knew "
            "none; without them the gain can only be guessed from the reference."
        )
    if notes["window"] < 1:
        said.append(
            "It shows less of the body than the reference, whose images were compared in windows of "
            f"about {notes['window']:.2g} of each side."
        )
    return said


def _uncertainty(notes: Mapping[str, Any]) -> list[str]:
    band, scores = notes["band"], notes.get("score_interval")
    if not band:
        return []
    if notes.get("patients") == 1:
        return ["How sure the curve is, nobody can tell from one patient."]
    half = sum(high - low for low, high in zip(band["low"], band["high"], strict=True)) / len(band["x"]) / 2
    said = f"Patients resampled, the curve is known to ±{255 * half:.1f} of 255 grey levels on average (95 %)"
    if scores:
        said += (
            f"; within that the probability of an image's likeliest class moves by {scores['width']:.2f} on average, "
            f"and {100 * scores['decisions']:.0f} % of {scores['images']} images do not keep their class"
        )
    return [f"{said}."]


def _projection(notes: Mapping[str, Any]) -> list[str]:
    off = f"{notes['projection_rmse_levels_8bit']:.1f} of 255 levels (root mean square) away from the free curve of the"
    if not notes["free"]:
        said = [f"The steps are {off} transport."]
    elif notes["projection_rmse_levels_8bit"] > 0:
        said = [f"Steps would be {off} transport, which is kept."]
    else:
        said = ["The free curve of the transport is kept, as the settings ask."]
    if notes["clipped_share"] > 0:
        said.append(f"{100 * notes['clipped_share']:.2g} % of the anatomy's grey levels are clipped.")
    return said


def _company(notes: Mapping[str, Any]) -> list[str]:
    others = ", ".join(f"{name} ({weight:.2f})" for name, weight in notes.get("leans_on", {}).items())
    return [f"The curve leans on {others}; what is said of it holds before that."] if others else []


def _presets(presets: Sequence[Mapping[str, Any]]) -> list[str]:
    said = [
        f"Its images were made with {len(presets)} presets; each gets the curve of the one that its structure tells."
    ]
    for number, notes in enumerate(presets, 1):
        said += [f"Preset {number}: {notes['images']} images.", *_uncertainty(notes), *_projection(notes)]
        said += [f"Warning {warning}, for this preset." for warning in notes["warnings"]]
    return said


def _adaptive(found: Mapping[str, Any]) -> list[str]:
    strength = found["strength"]
    if found.get("validation_images") == 0:
        return ["Images were not corrected one by one: the classifier was trained on all images of the reference."]
    if not strength:
        return ["A correction of each image by itself did not earn its place."]
    return [
        f"Its images vary in tone up to {found['variance']:.1f} times as much as the reference's (variance). What "
        f"exceeds is taken back of each image, {100 * strength:.0f} % of it, as far as structure tells how bright "
        "this scanner's images ought to be, and curves are moved to where it lets the mean image expect them. "
        f"{found['validation_images']} held-out reference images that were made "
        "to vary so and mended again came nearer to what the classifier says of them as they are: by "
        f"{found['gain']:.2f} ± {found['standard_error']:.2f} in cross-entropy."
    ]
