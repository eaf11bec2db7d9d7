"""Training readers of text lines."""
