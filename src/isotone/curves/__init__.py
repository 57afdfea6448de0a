"""What is a tone curve? Imports `errors` and `_runtime`."""
