"""Last station: the command line. Thin: parses, calls one station, prints."""
