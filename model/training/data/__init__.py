"""Training data: one form inside the house, the published forms outside it, and a pipeline that makes new data."""
