"""Figures of how well a speech model hears, speaks and replies."""
