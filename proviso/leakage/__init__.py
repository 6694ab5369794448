"""Station: what a model gains on paper, and loses in production, when a join ignores time."""
