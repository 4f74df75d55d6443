"""Layers, losses and metrics around a network, and merging, in TensorFlow."""
