"""A station beside the path: makes up source events of a contract's form, for demos and tests."""
