"""Text: PTB tokens, vocabularies, and ordinary English."""
