"""How do published collections become a `Manifest`?"""
