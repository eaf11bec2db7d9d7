"""What trains a classifier of clips: configuration, fitting, fine-tuning, model card."""
