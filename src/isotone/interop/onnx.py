"""A harmonizer, and a classifier behind it, as ONNX graphs: one for each scanner, run before it is called done."""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from isotone._runtime.files import replace_file, write_text
from isotone._version import __version__
from isotone.curves.tone_curve import ToneCurve
from isotone.deployment.record import INTENDED_USE
from isotone.errors import ModelError
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.harmonizer.mappers import ScannerMapper
from isotone.imaging.resize import to_square
from isotone.interop.onnx_curve import OPSET, Nodes, image_like

if TYPE_CHECKING:
    from isotone.networks.classifier import Classifier

CURVE_TOLERANCE = 1e-6
"""Largest difference of grey levels from ours, full range 1: float32 has 6e-8."""
PROBABILITY_TOLERANCE = 1e-4
"""Largest difference of probabilities: kernels of two libraries differ by 1e-6, and resizing by as much."""
LIST = "export.json"


@dataclass(frozen=True)
class Graph:
    """One file.

    Attributes
    ----------
    file : str
    domain : str
        Its scanner.
    curve_error, probability_error : float
        Largest difference from ours that was measured; the latter NaN without a classifier.
    """

    file: str
    domain: str
    curve_error: float
    probability_error: float


def export_onnx(
    harmonizer: ToneCurveHarmonizer, output: str | Path, classifier: Classifier | None = None
) -> list[Graph]:
    """Write a graph for each scanner, and ``export.json``, which lists them.

    Input ``image``: float32 of shape (n, 1, rows, columns), grey levels in [0, 1] at full range, 0 black, as
    `isotone.Radiograph.pixels`. Outputs: ``harmonized``, of the same shape; with a classifier also ``probabilities``,
    float32 of shape (n, classes), of the image resized as the classifier wants it. The reference gets a graph then,
    too. A graph has none of the guards: check images by ``isotone check``.

    Parameters
    ----------
    harmonizer : ToneCurveHarmonizer
    output : path
        Folder.
    classifier : Classifier, optional

    Returns
    -------
    list of Graph

    Raises
    ------
    ModelError
        E_EXPORT: a curve depends on the image; the classifier cannot be exported; or onnxruntime says something else
        than isotone, beyond `CURVE_TOLERANCE`, `PROBABILITY_TOLERANCE`, or by another verdict. Nothing is left then.
    """
    curves = scanner_curves(harmonizer)
    if classifier is not None:
        curves = dict.fromkeys(harmonizer.reference_domains, ToneCurve()) | curves
    head = None if classifier is None else _head(classifier)
    folder = Path(output)
    models = {}
    for domain, curve in curves.items():
        model = _model(curve, head, 0 if classifier is None else classifier.config.image_size)
        _describe(model, harmonizer, domain, curve, classifier)
        models[domain] = model.SerializeToString(), _measured(model.SerializeToString(), curve, classifier)
    graphs = []
    for (domain, (data, errors)), name in zip(models.items(), file_names(models), strict=True):
        with replace_file(folder / name) as temporary:
            temporary.write_bytes(data)
        graphs.append(Graph(name, domain, *errors))
    write_text(folder / LIST, json.dumps(_listed(graphs, harmonizer, classifier), indent=2) + "\n")
    return graphs


def scanner_curves(harmonizer: ToneCurveHarmonizer) -> dict[str, ToneCurve]:
    """The one curve of each source scanner; the identity where its images stay as they are.

    Raises
    ------
    ModelError
        E_EXPORT: the curves of one depend on the image, or there is none.
    """
    found = {}
    for domain, scanner in harmonizer.scanners.items():
        if harmonizer.passing(domain):
            found[domain] = ToneCurve()
        elif isinstance(scanner.mapper, ScannerMapper):
            found[domain] = scanner.mapper.scanner_curve
        else:
            raise ModelError(
                "E_EXPORT",
                f"the curves of {domain!r} depend on the image",
                next_step='Fit with method="scanner", or export a hub folder or a MONAI bundle.',
            )
    if not found:
        raise ModelError("E_EXPORT", "the harmonizer is not fitted", next_step="Call fit first.")
    return found


def file_names(domains: Mapping[str, object]) -> list[str]:
    """A file name for each scanner: its letters and digits, numbered where two are alike."""
    plain = [re.sub(r"[^a-z0-9]+", "-", domain.lower()).strip("-")[:64] or "scanner" for domain in domains]
    return [
        f"{name}.onnx" if plain.count(name) == 1 else f"{name}-{number}.onnx" for number, name in enumerate(plain, 1)
    ]


def _model(curve: ToneCurve, head: Any | None, size: int) -> Any:
    """Curve, resize and classifier as one graph."""
    nodes = Nodes()
    mapped = nodes.curve("image", curve)
    nodes.nodes.append(helper.make_node("Identity", [mapped], ["harmonized"]))
    if head is None:
        return nodes.model([image_like("image")], [image_like("harmonized")])
    sizes = nodes.constant([size, size], np.int64)
    resized = nodes.add(
        *("Resize", "harmonized", "", "", sizes),
        axes=[2, 3],
        mode="linear",
        antialias=1,
        coordinate_transformation_mode="half_pixel",
    )
    limits = [nodes.constant(limit, np.float32) for limit in (0, 1)]
    clipped = nodes.add("Clip", resized, *limits)
    nodes.nodes.append(helper.make_node("Identity", [clipped], ["grey"]))
    grey = helper.make_tensor_value_info("grey", TensorProto.FLOAT, ["n", 1, size, size])
    front = nodes.model([image_like("image")], [image_like("harmonized"), grey])
    front.ir_version = head.ir_version
    return onnx.compose.merge_models(
        onnx.compose.add_prefix(front, "curve/", rename_inputs=False, rename_outputs=False),
        head,
        io_map=[("grey", head.graph.input[0].name)],
        outputs=["harmonized", head.graph.output[0].name],
    )


def _head(classifier: Classifier) -> Any:
    """The classifier from its resized input to probabilities, by torch's exporter."""
    import torch

    from isotone.networks.forward import said
    from isotone.networks.probabilities import Probabilities

    size = classifier.config.image_size
    example = torch.rand(2, 1, size, size, device=classifier.device)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns that torchvision is not here
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own deprecations
            program = torch.onnx.export(
                Probabilities(classifier).eval(),
                (example,),
                input_names=["grey_in"],
                output_names=["probabilities"],
                dynamic_shapes={"grey": {0: torch.export.Dim("n")}},
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # a user's own network fails the exporter in many ways
        raise ModelError(
            "E_EXPORT",
            f"torch cannot export the classifier ({said(error)})",
            next_step="Change what its forward does until torch.onnx.export(network, …, dynamo=True) takes it.",
        ) from error
    finally:
        logger.setLevel(level)
    assert program is not None  # only without dynamo
    return onnx.compose.add_prefix(program.model_proto, "classifier/", rename_inputs=False, rename_outputs=False)


def _describe(
    model: Any, harmonizer: ToneCurveHarmonizer, domain: str, curve: ToneCurve, classifier: Classifier | None
) -> None:
    said = {
        "isotone.version": __version__,
        "isotone.domain": domain,
        "isotone.harmonizer": harmonizer.digest,
        "isotone.curve": curve.to_json(),
        "isotone.use": INTENDED_USE,
    }
    if classifier is not None:
        said["isotone.classes"] = json.dumps(classifier.config.classes)
        said["isotone.classifier"] = classifier.config.sha256
    del model.metadata_props[:]
    helper.set_model_props(model, said)


def _measured(data: bytes, curve: ToneCurve, classifier: Classifier | None) -> tuple[float, float]:
    """Largest differences of onnxruntime from isotone: grey levels, probabilities.

    Raises
    ------
    ModelError
        E_EXPORT: they exceed the tolerances, or a verdict differs.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # of what it prints itself
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    errors = [0.0, np.nan if classifier is None else 0.0]
    for image in _images(64 if classifier is None else classifier.config.image_size):
        found = _ran(session, image)
        wanted = curve(image.astype(np.float64))
        errors[0] = max(errors[0], float(np.abs(found[0] - wanted).max()))
        if classifier is None:
            continue
        ours = classifier.predict(np.stack([to_square(one[0], classifier.config.image_size) for one in curve(image)]))
        errors[1] = max(errors[1], float(np.abs(found[1] - ours).max()))
        if (found[1].argmax(1) != ours.argmax(1)).any():
            raise ModelError("E_EXPORT", "the exported classifier comes to another verdict")
    if errors[0] > CURVE_TOLERANCE or errors[1] > PROBABILITY_TOLERANCE:
        raise ModelError("E_EXPORT", f"the exported graph differs by {max(errors[:1] + errors[1:]):.2g}")
    return errors[0], errors[1]


def _ran(session: Any, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    try:
        return list(session.run(None, {"image": image}))
    except Exception as error:  # onnxruntime's own types; a network whose export fits one batch size alone, for example
        raise ModelError(
            "E_EXPORT",
            f"onnxruntime cannot run the exported graph on images of shape {image.shape}",
            next_step="Change what the network's forward does until it takes batches and images of any size.",
        ) from error


def _images(size: int) -> list[NDArray[np.float32]]:
    """Made-up batches of several sizes: a ramp over all 16-bit levels, anatomy-like discs, noise."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 1, 2**16, dtype=np.float32).reshape(1, 1, 256, 256)
    batches = [ramp]
    for rows, columns in ((size, size), (2 * size + 7, size + 3), (size // 2 + 1, size // 3 + 2)):
        y, x = np.mgrid[:rows, :columns] / max(rows, columns)
        noise = rng.random((2, 1, rows, columns))
        disc = np.where((x - 0.2) ** 2 + (y - 0.5) ** 2 < 0.1, 0.3 + 0.5 * noise, 0.02 * noise)
        batches += [disc.astype(np.float32), noise.astype(np.float32)]
    return batches


def _listed(graphs: list[Graph], harmonizer: ToneCurveHarmonizer, classifier: Classifier | None) -> dict[str, object]:
    listed = [
        {"file": g.file, "domain": g.domain, "curve_error": g.curve_error}
        | ({} if classifier is None else {"probability_error": g.probability_error})
        for g in graphs
    ]
    return {
        "schema": 1,
        "version": __version__,
        "harmonizer": harmonizer.digest,
        "classes": [] if classifier is None else list(classifier.config.classes),
        "input": "image: float32 (n, 1, rows, columns), grey levels in [0, 1] at full range, 0 black",
        "graphs": listed,
        "intended_use": INTENDED_USE,
    }
