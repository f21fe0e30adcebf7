"""The published model OpenS2S, rebuilt: its parts, how they are trained, and how they speak."""
