"""Which DICOM objects are written, and how are they read back?"""
