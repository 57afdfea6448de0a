"""What is derived from an image that was compressed with loss says so (PS3.3 C.7.6.1.1.5)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from isotone.deployment.dicom_objects.provenance import text_of
from isotone.imaging.codecs.codecs import CODECS
from isotone.imaging.radiograph import Header


def lossy_elements(dataset: Dataset, header: Header, length: int) -> Dataset:
    """Lossy once, lossy for ever, also where the source's header forgets to say so, or its transfer syntax denies it.

    Parameters
    ----------
    dataset : Dataset
        As read.
    header : Header
        Of the same image.
    length : int
        Bytes of its compressed pixel data.

    Returns
    -------
    Dataset
        The elements that have to be said; none where the image says so already, or has lost nothing.
    """
    said = Dataset()
    codec = CODECS.get(dataset.file_meta.get("TransferSyntaxUID"))
    if header.lossy and codec is not None and text_of(dataset, "LossyImageCompression") != "01":
        ratio = header.frames * header.rows * header.columns * -(-header.bits_stored // 8) / max(length, 1)
        said.LossyImageCompression = "01"
        said.LossyImageCompressionMethod = codec.method
        said.LossyImageCompressionRatio = f"{ratio:.2f}"
    return said
