"""Pages to look at: the gallery of a results folder and the comparison of both models."""
