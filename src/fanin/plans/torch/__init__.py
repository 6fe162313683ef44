"""Plans on PyTorch: put into a model (`apply`), found in it (`targets`), written as plain code (`source`)."""
