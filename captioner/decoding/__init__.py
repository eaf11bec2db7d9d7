"""Search over words: beam search and sampling."""
