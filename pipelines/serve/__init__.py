"""`captioner serve`: a page and an API over the jobs of the other rooms."""
