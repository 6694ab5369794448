"""Fifth station: history becomes timelines in the online store, and the store is held to it."""
