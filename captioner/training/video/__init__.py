"""What trains a captioner of clips: configuration and model card."""
