"""What trains a language model: configuration and objective."""
