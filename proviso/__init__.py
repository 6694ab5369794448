"""The control plane of proviso: from a contract and a plan to a release in production.

One folder per station, and imports go one way only: contracts, simulation, history, training,
online, gates, bench, local, cli.
"""

__version__ = "0.1.0"
