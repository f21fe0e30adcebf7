"""Recipes that make nano's weights: data, rendering, training loops. Nothing here runs in a live session."""
