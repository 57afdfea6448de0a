"""How is one model fitted, saved, loaded and asked for the curve of an image?

Imports `monitoring`, `baselines`, `networks` and below.
"""
