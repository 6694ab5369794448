"""A rollout as data: deployed releases, steps, weights."""
