"""How does a hospital's node receive images, harmonize them and forward them, and lose none?

Imports `deployment` and below. pynetdicom and dicomweb-client (extra `serve`) load inside functions.
"""
