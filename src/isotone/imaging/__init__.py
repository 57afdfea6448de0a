"""How does a file become a `Radiograph`? Imports `curves`, `_runtime` and below."""
