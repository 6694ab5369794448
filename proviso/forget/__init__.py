"""Takes one entity out of the files and the store that this program writes (docs/forget.md)."""
