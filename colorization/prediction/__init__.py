"""Prediction: a trained model makes pictures on disk."""
