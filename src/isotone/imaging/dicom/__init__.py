"""How is a DICOM file parsed, and its header read?"""
