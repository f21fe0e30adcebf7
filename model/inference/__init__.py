"""Whole recordings and texts in, answers out: one surface for every engine."""
