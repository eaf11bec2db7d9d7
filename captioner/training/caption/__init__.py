"""What trains a photo captioner: configuration, batches, objectives, validation, model card."""
