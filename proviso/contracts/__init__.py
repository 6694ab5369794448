"""First station: the lab's four files become typed, frozen values, or a list of problems."""
