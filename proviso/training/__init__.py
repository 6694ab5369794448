"""Training: labelled rows become a model, its baseline, and a release with both."""
