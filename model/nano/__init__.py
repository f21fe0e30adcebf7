"""Nano: the OpenS2S composition in miniature, small enough to listen and speak live on two CPU cores."""
