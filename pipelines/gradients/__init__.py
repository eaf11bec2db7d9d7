"""`captioner gradients`: how far back in time a network learns."""
