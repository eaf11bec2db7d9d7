"""Pixels: reading images and frames, and the pretrained CNNs that turn them into features."""
