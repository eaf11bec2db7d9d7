"""`--cluster`: folder jobs over shards at any address, on many machines by Ray Data."""
