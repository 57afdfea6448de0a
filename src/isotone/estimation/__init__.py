"""How do two described populations give a tone curve? Imports `data` and below; reads no file and loads no torch."""
