"""Shared code of the stages."""

import gc

__version__ = "0.1.0"

# Python searches for garbage at every 700 new objects. Imports make half a million, and all
# stay: the searching took a tenth of a run without new data, and of a report
gc.set_threshold(1_000_000)
