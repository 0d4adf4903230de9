"""Where the real data sets come from: registry, lookup, checksums, fetching."""

from sparring.data.sets import SETS, DataSet, File
from sparring.data.sources import cache_folder, checksum, describe, fetch, locate, print_sets, verify

__all__ = [
    "SETS",
    "DataSet",
    "File",
    "cache_folder",
    "checksum",
    "describe",
    "fetch",
    "locate",
    "print_sets",
    "verify",
]
