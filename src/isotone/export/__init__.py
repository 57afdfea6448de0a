"""Harmonized images as files: derived images, look-up tables, presentation states, and the way back."""
