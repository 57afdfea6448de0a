"""A `pydicom.Dataset` in, the derived image as a `pydicom.Dataset` out."""

from __future__ import annotations

from pydicom.dataset import Dataset

from isotone.deployment.deliver import record_of, refuse_ours
from isotone.deployment.dicom_objects.derived_image import derived_dataset, output_table
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.harmonizer.transform import Said, transformed
from isotone.imaging.dicom.encoded import encoded
from isotone.imaging.dicom.read_dicom import open_dicom
from isotone.imaging.dicom.warning_codes import caught_warnings


@transformed.register
def transform_dataset(dataset: Dataset, harmonizer: ToneCurveHarmonizer, said: Said) -> Dataset:
    """The derived image of a data set, as ``isotone apply --deliver pixels`` would write it.

    Returns
    -------
    Dataset
        A new one, in Explicit VR Little Endian; of an image that stays as it is the data set itself.

    Raises
    ------
    ValueError
        `bits` is given, which the header says.
    RadiographError
        As `isotone.read_radiograph` and `ToneCurveHarmonizer.curve`; E_ALREADY: isotone made this image.
    """
    if said.bits is not None:
        raise ValueError("a data set says how many bits its values have: leave bits out")
    with caught_warnings(), open_dicom(encoded(dataset), inverted=said.inverted) as opened:
        radiograph = opened.radiograph
        domain = harmonizer.domain_of(radiograph.with_domain(said.domain or radiograph.header.domain).header)
        radiograph = radiograph.with_domain(domain)
        if harmonizer.passing(domain, said.allow):
            return dataset
        refuse_ours(radiograph.header, said.allow)
        curve = harmonizer.curve(radiograph, allow=said.allow, seen=said.seen)
        table = output_table(radiograph.map_tone(curve))
        record = record_of(harmonizer, curve, "pixels", table, domain)
        return derived_dataset(opened.dataset, radiograph, opened.frames, record)
