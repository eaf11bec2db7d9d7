"""`captioner translate`: text, rows of captions and subtitles in another language."""
