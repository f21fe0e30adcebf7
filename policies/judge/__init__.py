"""Judges: situations in, five probabilities and their evidence out."""
