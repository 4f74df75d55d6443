"""Training: photos and a network become checkpoints."""
