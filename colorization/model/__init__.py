"""Layers, losses and metrics, joined with a network into a `model_fn`."""
