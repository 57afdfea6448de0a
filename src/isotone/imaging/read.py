"""Files → `Header` or `Radiograph`, whatever their format."""

from __future__ import annotations

from pathlib import Path

from isotone.imaging.dicom.read_dicom import open_dicom, read_dicom_header
from isotone.imaging.radiograph import Header, Radiograph
from isotone.imaging.raster.read_raster import SUFFIXES as RASTER_SUFFIXES
from isotone.imaging.raster.read_raster import read_raster, read_raster_header


def read_header(path: str | Path, *, domain: str | None = None, inverted: bool | None = None) -> Header:
    """What a file says of its image; no pixel is decoded.

    Parameters
    ----------
    path, domain, inverted
        As for `read_radiograph`.

    Raises
    ------
    RadiographError
        Whatever the header alone gives reason to refuse, with the codes of `read_radiograph`.
    """
    path = Path(path)
    if path.suffix.lower() in RASTER_SUFFIXES:
        return read_raster_header(path, domain=domain, inverted=inverted)
    return read_dicom_header(path, domain=domain, inverted=inverted)


def read_radiograph(
    path: str | Path,
    *,
    domain: str | None = None,
    inverted: bool | None = None,
    window: str | None = None,
) -> Radiograph:
    """Read one image.

    Files named ``.png``, ``.tif``, ``.tiff``, ``.jpg`` or ``.jpeg`` are read as such, all others as DICOM.

    Parameters
    ----------
    path : path
        A regular file, or a link to one.
    domain : str, optional
        Name of the scanner where the header has none.
    inverted : bool, optional
        Polarity as the user knows it, whatever the file says: True, 0 is white (in DICOM: the largest output of the
        Modality LUT is black); False, 0 is black. Default: as a DICOM or TIFF file says; 0 is black in PNG and JPEG.
    window : str, optional
        Of several windows or VOI LUTs of a DICOM file the one with this explanation, which `Radiograph.display` then
        shows; default: the first. The curve is over the full range in any case.

    Returns
    -------
    Radiograph
        Of several frames the middle one; at full range, with what is odd about it in ``header.warnings``.

    Raises
    ------
    RadiographError
        The image is refused; the codes are keys of `isotone.errors.CODES`.

    Examples
    --------
    >>> import isotone
    >>> image = isotone.read_radiograph("phantom/images/alder/P0001/LCC.dcm")
    >>> image.stored.shape, image.header.domain
    ((64, 51), 'Alder Mammo One')
    """
    path = Path(path)
    if path.suffix.lower() in RASTER_SUFFIXES:
        return read_raster(path, domain=domain, inverted=inverted)
    with open_dicom(path, domain=domain, inverted=inverted, window=window) as image:
        return image.radiograph
