"""Which images, in which order, and which numbers describe them? Imports `imaging` and below."""
