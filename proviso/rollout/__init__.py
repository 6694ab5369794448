"""A rollout as data: deployed releases and the steps that move traffic between them."""
