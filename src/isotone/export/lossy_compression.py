"""What is derived from an image that was compressed with loss says so (PS3.3 C.7.6.1.1.5)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from isotone.export.stamp import text_of
from isotone.imaging.codecs import CODECS
from isotone.imaging.radiograph import Header


def say_lossy(dataset: Dataset, header: Header) -> list[str]:
    """Lossy once, lossy for ever, also where the source's header forgets to say so, or its transfer syntax denies it.

    This is not undone: only the frame had said it, and a restored image has another.

    Parameters
    ----------
    dataset : Dataset
        As read, pixel data included; changed in place.
    header : Header
        Of the same image.

    Returns
    -------
    list of str
        What to say of it where an image is restored.
    """
    codec = CODECS.get(dataset.file_meta.get("TransferSyntaxUID"))
    if not header.lossy or codec is None or text_of(dataset, "LossyImageCompression") == "01":
        return []
    ratio = header.rows * header.columns * -(-header.bits_stored // 8) / max(len(dataset.PixelData), 1)
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionMethod = codec.method
    dataset.LossyImageCompressionRatio = f"{ratio:.2f}"
    return ["that it was compressed with loss is said now"]
