"""Rows of a source, wherever they lie, as Parquet files of this machine."""

from proviso.sources.reading import SourceFiles, open_source

__all__ = ["SourceFiles", "open_source"]
