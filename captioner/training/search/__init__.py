"""Training of the quick part of a search: vectors of sentences and photos that fit each other."""
