"""Data: photos on disk become batches."""
