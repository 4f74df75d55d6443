"""One module for each `--mode`, with one `run` each."""
