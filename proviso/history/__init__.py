"""Second station: from transactions to feature history, and from history to the dataset."""
