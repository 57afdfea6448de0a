"""Which images, with which labels, in which order."""
