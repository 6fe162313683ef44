"""The engine for PyTorch: models constructed, initialised and trained, one at a time or many of one shape at once."""
