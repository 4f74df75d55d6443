"""From a network to a `model_fn`."""
