"""`captioner caption`: photos and clips to captions."""
