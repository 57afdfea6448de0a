"""Harmonizers as folders of the Hugging Face Hub: ``config.json``, safetensors and a model card.

Such a folder is a harmonizer's folder with a README: every command takes it, and nothing in it is code or is unpickled.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from isotone._runtime.files import write_text
from isotone._version import __version__
from isotone.deployment.record import INTENDED_USE
from isotone.errors import IsotoneError, UsageError, installing
from isotone.harmonizer.curve_report import sheet
from isotone.harmonizer.fit_report import fit_sentences
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.harmonizer.mappers import shared_curves
from isotone.safe_text import printable

if TYPE_CHECKING:
    from isotone.networks.classifier import Classifier

CARD, CLASSIFIER = "README.md", "classifier"
FILES = ["config.json", "*.safetensors"]
"""What is fetched."""


def save_pretrained(harmonizer: ToneCurveHarmonizer, folder: str | Path, classifier: Classifier | None = None) -> None:
    """Write a harmonizer's folder with a model card; a classifier goes into ``classifier/``.

    The record of the images that the classifier was trained on stays behind: it is about patients.

    Parameters
    ----------
    harmonizer : ToneCurveHarmonizer
    folder : path
    classifier : Classifier, optional

    Raises
    ------
    ModelError
        The harmonizer is not fitted.
    UsageError
        The classifier has no name to build it by.
    """
    target = Path(folder)
    if classifier is not None:
        type(classifier)(classifier.module, classifier.config, device=classifier.device).save(target / CLASSIFIER)
    write_text(target / CARD, model_card(harmonizer, classifier))
    harmonizer.save(target)


def from_pretrained(
    source: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> ToneCurveHarmonizer:
    """The harmonizer of a local folder, or of a repository of the hub.

    Parameters
    ----------
    source : path or str
        A folder that exists, or a repository such as ``"me/birch-to-alder"``.
    revision : str, optional
        Branch, tag or commit of the repository; a commit cannot change later.
    cache_dir, local_files_only
        As for `huggingface_hub.snapshot_download`.

    Raises
    ------
    IsotoneError
        E_EXTRA: huggingface_hub is not installed. E_READ: nothing there, or no connection.
    ModelError
        What is there is no harmonizer.

    Examples
    --------
    >>> from isotone.interop.hub import from_pretrained
    >>> harmonizer = from_pretrained("me/birch-to-alder", revision="0123abc")  # doctest: +SKIP
    """
    if Path(source).is_dir():
        return ToneCurveHarmonizer.load(source)
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise _missing() from None
    try:
        found = snapshot_download(
            str(source),
            revision=revision,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            allow_patterns=FILES,
        )
    except Exception as error:  # of the network, of the repository's name, of permissions: many types
        raise UsageError(
            f"no such folder, and the hub gives no such repository ({type(error).__name__})",
            code="E_READ",
            file=source,
            next_step="Correct the name, or sign in by hf auth login.",
        ) from error
    return ToneCurveHarmonizer.load(found)


def push_to_hub(
    harmonizer: ToneCurveHarmonizer,
    repository: str,
    *,
    classifier: Classifier | None = None,
    private: bool = True,
    revision: str | None = None,
) -> str:
    """Upload what `save_pretrained` writes; the address of the commit.

    Parameters
    ----------
    harmonizer : ToneCurveHarmonizer
    repository : str
        Such as ``"me/birch-to-alder"``; it is made where it does not exist.
    classifier : Classifier, optional
    private : bool
        Of a repository that is made.
    revision : str, optional
        Branch.

    Raises
    ------
    IsotoneError
        E_EXTRA: huggingface_hub is not installed.
    ModelError, UsageError
        As `save_pretrained`.
    """
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise _missing() from None
    with TemporaryDirectory() as folder:
        save_pretrained(harmonizer, folder, classifier)
        api = HfApi(library_name="isotone", library_version=__version__)
        api.create_repo(repository, private=private, exist_ok=True)
        said = f"isotone {__version__}, SHA-256 {harmonizer.digest[:12]}"
        commit = api.upload_folder(
            repo_id=repository, folder_path=folder, revision=revision, commit_message=said, delete_patterns=FILES
        )
    return str(commit.commit_url)


def model_card(harmonizer: ToneCurveHarmonizer, classifier: Classifier | None = None) -> str:
    """What the harmonizer is, its curves with their certificates, what the fit says of itself, what it is not for."""
    head = {
        "library_name": "isotone",
        "pipeline_tag": "image-to-image",
        "tags": ["isotone", "x-ray", "harmonization", "domain-adaptation", "tone-curve"],
    }
    sources = ", ".join(map(printable, harmonizer.scanners))
    reference = ", ".join(map(printable, harmonizer.reference_domains))
    lines = [
        "---",
        *(f"{name}: {json.dumps(value)}" for name, value in head.items()),
        "---",
        "",
        f"# {sources} → {reference}",
        "",
        f"Monotone tone curves that make radiographs of {sources} look, to a classifier, like those of {reference}. "
        f"Method `{harmonizer.method}`, labels of the source: {harmonizer.labels}, isotone {__version__}, SHA-256 "
        f"`{harmonizer.digest}`.",
        "",
        "```python",
        "from isotone import read_radiograph",
        "from isotone.interop.hub import from_pretrained",
        "",
        "harmonizer = from_pretrained(FOLDER_OR_REPOSITORY)",
        'harmonized = harmonizer.transform(read_radiograph("image.dcm"))',
        "```",
        "",
        f"**Intended use:** {INTENDED_USE}. Research; not a medical device. Images of other scanners, and those "
        "unlike the images of the fit, are refused.",
        "",
    ]
    for domain, scanner in harmonizer.scanners.items():
        lines += [f"## {printable(domain)}", ""]
        curves = shared_curves(domain, scanner.mapper)
        for title, curve in curves.items():
            lines += ["```text", sheet(title, curve, 12), "```", ""]
        lines += [] if curves else ["Each image has a curve of its own.", ""]
        lines += [f"* {sentence}" for sentence in fit_sentences(scanner.report, harmonizer.labels)]
        lines += [""]
    if classifier is not None:
        config = classifier.config
        lines += [
            "## Classifier",
            "",
            f"`{CLASSIFIER}/`: {printable(config.backbone)}, classes {', '.join(map(printable, config.classes))}, "
            f"{config.image_size} px, trained on {', '.join(map(printable, config.reference_domains)) or 'unknown'}.",
            "",
        ]
    return "\n".join(lines)


def _missing() -> IsotoneError:
    return IsotoneError("E_EXTRA", "this needs huggingface_hub", next_step=installing("hub"))
