"""Station after the gates: the contract as a page that anybody can read."""
