"""Does it help? Metrics, intervals, distances and the report."""
