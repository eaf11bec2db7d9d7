"""`captioner train`: a configuration to a model folder; one trainer an application."""
