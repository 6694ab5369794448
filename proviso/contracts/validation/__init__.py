"""What must hold of a contract and a plan beyond their types, as problems with a path."""
