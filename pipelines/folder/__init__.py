"""What every folder job shares: finding inputs, row files, progress, threads, and the run around the work."""
