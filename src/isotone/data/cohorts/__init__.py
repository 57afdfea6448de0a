"""Published collections, each from its own layout to a `Manifest`."""
