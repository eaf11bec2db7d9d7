"""`captioner export` and `captioner push`: models for other programs, for browsers and for other people."""
