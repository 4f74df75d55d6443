"""From photos and a network to checkpoints."""
