"""Scores of captions: BLEU, ROUGE-L and CIDEr-D, with their significance."""
