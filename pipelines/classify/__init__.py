"""`captioner classify`: clips to classes."""
