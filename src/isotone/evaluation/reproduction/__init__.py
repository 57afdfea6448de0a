"""Does the paper hold? Imports the rest of `evaluation` and below."""
