"""The pages of the panel, one file per group of handlers."""
