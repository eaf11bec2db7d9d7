"""`captioner perplexity` and `captioner generate`: a language model at work."""
