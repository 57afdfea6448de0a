"""How does a table, a folder or a set of headers become a `Manifest`?"""
