"""From a trained model to pictures on disk."""
