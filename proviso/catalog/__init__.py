"""The catalogue: the contract and what was measured of it, as one HTML page."""
