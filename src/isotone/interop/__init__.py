"""How does a harmonizer fit into other people's code: their objects, their pipelines, their formats?

Imports every room but serving, evaluation and cli. A module that is named for a library needs it as it loads; the
others import what they need where they use it.
"""
