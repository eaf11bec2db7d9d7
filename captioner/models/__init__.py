"""The applications: each one's model, with its configuration and folder, and beside it its network (`*_network`)."""
