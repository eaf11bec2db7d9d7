"""`captioner evaluate-lines`: score what was read in text lines."""
