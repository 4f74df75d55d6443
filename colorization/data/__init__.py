"""From photos on disk to batches."""
