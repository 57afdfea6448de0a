"""The SOP classes of X-ray images (PS3.4 B.5): what they are for, and which may have several frames.

An image of one frame is read whatever its class, for X-ray images lie in archives under many; one of several frames
under these alone, so that no other modality's stack passes for a radiograph.
"""

from __future__ import annotations

from pydicom.uid import (
    BreastProjectionXRayImageStorageForPresentation,
    BreastProjectionXRayImageStorageForProcessing,
    BreastTomosynthesisImageStorage,
    ComputedRadiographyImageStorage,
    DigitalIntraOralXRayImageStorageForPresentation,
    DigitalIntraOralXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    EnhancedXAImageStorage,
    EnhancedXRFImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    XRay3DAngiographicImageStorage,
    XRay3DCraniofacialImageStorage,
    XRayAngiographicImageStorage,
    XRayRadiofluoroscopicImageStorage,
)

from isotone.imaging.dicom.header_values import INTENTS

PRESENTATION, PROCESSING = INTENTS
INTENT_OF_CLASS: dict[str, str] = {
    DigitalXRayImageStorageForPresentation: PRESENTATION,
    DigitalXRayImageStorageForProcessing: PROCESSING,
    DigitalMammographyXRayImageStorageForPresentation: PRESENTATION,
    DigitalMammographyXRayImageStorageForProcessing: PROCESSING,
    DigitalIntraOralXRayImageStorageForPresentation: PRESENTATION,
    DigitalIntraOralXRayImageStorageForProcessing: PROCESSING,
    BreastProjectionXRayImageStorageForPresentation: PRESENTATION,
    BreastProjectionXRayImageStorageForProcessing: PROCESSING,
}
"""SOP classes that say what their images are for."""
SEVERAL_FRAMES = frozenset(
    {
        *INTENT_OF_CLASS,
        ComputedRadiographyImageStorage,
        XRayAngiographicImageStorage,
        EnhancedXAImageStorage,
        XRayRadiofluoroscopicImageStorage,
        EnhancedXRFImageStorage,
        XRay3DAngiographicImageStorage,
        XRay3DCraniofacialImageStorage,
        BreastTomosynthesisImageStorage,
        # Consoles without these classes store runs and slices as secondary captures.
        MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    }
)
"""SOP classes of which an image may have more than one frame."""
WINDOW_IN_GROUPS = frozenset(
    {EnhancedXAImageStorage, EnhancedXRFImageStorage, XRay3DAngiographicImageStorage, XRay3DCraniofacialImageStorage}
)
"""SOP classes whose functional groups have a window, as the standard has it, and no VOI LUT beside or instead of it
(PS3.3 C.7.6.16.2.10; the others have C.7.6.16.2.10b)."""
