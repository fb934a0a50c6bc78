"""Tunes the garbage collector of a process that has started: modules need not be scanned again and again."""

import gc

# Allocations minus deallocations that start a collection. Reference counts free almost all objects of a request or of a
# region run. With the default of 700 the collector ran many times a second and took a twelfth of a busy worker's CPU.
THRESHOLD = 20_000


def freeze_gc() -> None:
    """Exempt all existing objects from collection, and collect from now on, but less often.

    Collections took CPU for objects that stay. Call this in each process after its imports, and after its fork.
    """
    gc.freeze()
    gc.set_threshold(THRESHOLD)
    gc.enable()
