"""The applications, one file each: configuration, network, loss and decoding side by side."""
