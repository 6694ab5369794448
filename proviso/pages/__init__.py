"""What all pages share: style, charts, and the writing of a file."""
