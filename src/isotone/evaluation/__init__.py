"""Does the curve help, and does it harm? Imports `harmonizer` and below, never `deployment`."""
