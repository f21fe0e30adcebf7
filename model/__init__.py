"""Speech models behind one interface. Imports nothing else of the house."""
