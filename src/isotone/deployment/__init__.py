"""How does a model run on a hospital's files, and how is it undone?

Imports `harmonizer` and below, never `evaluation`.
"""
