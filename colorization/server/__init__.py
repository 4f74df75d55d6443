"""The page that colours photos, and the same as an API; what `--mode serve` runs."""
