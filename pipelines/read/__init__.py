"""`captioner read`: pictures of text lines into text."""
