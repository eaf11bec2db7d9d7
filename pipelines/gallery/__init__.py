"""HTML pages of results, with thumbnails and film strips."""
