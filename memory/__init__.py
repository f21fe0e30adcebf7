"""What the agent remembers of each person. Imports nothing else of the house."""
