"""Do new images look like those of the fit? Imports `estimation` and below."""
