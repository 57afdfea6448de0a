"""What a classifier was trained on: digests of images and patients, so that they are never counted as test."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer

from isotone._runtime.files import write_text
from isotone.data.identity import pixel_identity
from isotone.data.images import map_images
from isotone.data.manifests.manifest import Manifest
from isotone.errors import IsotoneError, ModelError

FILE = "trained_on.json"
"""Name of the record in a classifier's folder."""
NO_RECORD = (
    "W_NO_RECORD nobody recorded which images the classifier was trained on: if some of them are test images, "
    "its figures are too good"
)

Role = Literal["trained", "chosen"]
"""The weights were learned from it, or an epoch was chosen by it."""
TEST: tuple[Role, ...] = ("trained", "chosen")
"""What is no test image."""
VALIDATION: tuple[Role, ...] = ("trained",)
"""What is no validation image: an image that chose an epoch may choose a threshold, too."""

Digest = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


class Group(BaseModel):
    """Images and patients of one role."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    images: frozenset[Digest] = frozenset()
    """As `isotone.data.identity` gives them."""
    patients: frozenset[Digest] = frozenset()
    """HMAC-SHA-256 of the patient's identifier under the record's key, first 32 hexadecimals."""

    @field_serializer("images", "patients")
    def _sorted(self, found: frozenset[str]) -> list[str]:
        return sorted(found)

    def __or__(self, other: Self) -> Self:
        return type(self)(images=self.images | other.images, patients=self.patients | other.patients)


class TrainingRecord(BaseModel):
    """The file ``trained_on.json`` beside a classifier; no part of its digest, and never exported.

    The key prevents a comparison with tables of hashes that were made beforehand, and with records of other
    classifiers. It does not hide a patient from somebody who has this file and guesses identifiers: keep the file where
    the images are.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_by_name=True, serialize_by_alias=True
    )

    schema_version: Literal[1] = Field(1, alias="schema")
    """Version of this layout."""
    key: str = Field(pattern="^[0-9a-f]{64}$")
    """Of the patients' hashes, hexadecimal; drawn anew for each record."""
    trained: Group = Group()
    """The weights were learned from these."""
    chosen: Group = Group()
    """The epoch that was kept was chosen by these."""

    @classmethod
    def new(cls) -> Self:
        """An empty record."""
        # Not from a run's seed: a key that can be guessed allows tables made beforehand.
        return cls(key=secrets.token_hex(32))

    def add(self, role: Role, found: Iterable[tuple[str, str | None]]) -> Self:
        """The record with more images.

        Parameters
        ----------
        role : "trained" or "chosen"
        found : iterable of (identity, patient or None)
        """
        pairs = list(found)
        more = Group(
            images=frozenset(identity for identity, _ in pairs),
            patients=frozenset(self._hash(patient) for _, patient in pairs if patient),
        )
        return self.model_copy(update={role: getattr(self, role) | more})

    def add_manifest(
        self,
        manifest: Manifest,
        *,
        workers: int = 1,
        quiet: bool = True,
        on_refusal: Callable[[IsotoneError], None] | None = None,
    ) -> Self:
        """The record with the rows of a manifest: of split train or none as trained, of val as chosen, of test not.

        Raises
        ------
        IsotoneError
            E_DATA: no image could be read.
        """
        rows = [row for row in manifest if row.split != "test"]
        roles: dict[Role, list[tuple[str, str | None]]] = {"trained": [], "chosen": []}
        for row, identity in map_images(rows, pixel_identity, workers=workers, label="recording", quiet=quiet):
            if isinstance(identity, IsotoneError):
                if on_refusal is not None:
                    on_refusal(identity)
                continue
            roles["chosen" if row.split == "val" else "trained"].append((identity, row.patient_id))
        if not any(roles.values()):
            raise IsotoneError("E_DATA", "no image that the classifier was trained on could be read")
        return self.add("trained", roles["trained"]).add("chosen", roles["chosen"])

    def holds(
        self,
        patients: Sequence[str | None],
        identities: Sequence[str | None] | None = None,
        roles: Collection[Role] = TEST,
    ) -> list[bool]:
        """Which images are recorded, or of a recorded patient.

        Where an image is recorded, its patient was in training under whatever name: then all its images are held.

        Parameters
        ----------
        patients : sequence of str or None
            Of each image; None where nobody knows.
        identities : sequence of str or None, optional
            Of each image; None where it is not known.
        roles : collection of Role
        """
        groups: list[Group] = [getattr(self, role) for role in roles]
        hashes, images = ({h for g in groups for h in getattr(g, name)} for name in ("patients", "images"))
        known = [identity in images for identity in identities or [None] * len(patients)]
        seen = {patient for patient, found in zip(patients, known, strict=True) if found and patient}
        held = {p for p in set(patients) if p and (p in seen or self._hash(p) in hashes)}
        return [found or patient in held for patient, found in zip(patients, known, strict=True)]

    @property
    def summary(self) -> str:
        """How much it holds, in words."""
        both = self.trained | self.chosen
        return f"{len(both.images)} images of {len(both.patients)} named patients are recorded"

    def _hash(self, patient: str) -> str:
        # DICOM pads its values with blanks (PS3.5 6.2).
        name = patient.strip().encode("utf-8", "surrogateescape")
        return hmac.digest(bytes.fromhex(self.key), name, "sha256").hex()[:32]

    @classmethod
    def read(cls, folder: str | Path) -> Self | None:
        """The record of a classifier's folder; None where there is none.

        Raises
        ------
        ModelError
            E_MODEL: damaged, or of a later schema.
        """
        path = Path(folder) / FILE
        try:
            if not path.exists():
                return None
            if not path.is_file():  # reading a pipe would wait for ever
                raise OSError
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise ModelError(
                "E_MODEL",
                "the record of the training images cannot be read",
                file=path,
                next_step="Fetch it again, or remove it and record the images again: isotone trained-on.",
            ) from error

    def write(self, folder: str | Path) -> None:
        """Write it into a classifier's folder."""
        write_text(Path(folder) / FILE, self.model_dump_json(indent=1) + "\n")
