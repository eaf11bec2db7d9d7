"""`captioner evaluate`: captions to scores."""
