"""The garbage collector of a process that has started: it need not look at modules again and again."""

import gc

# Objects made and not freed before the collector looks. What a request or a region run makes is freed by its reference
# counts; the default of 700 had the collector walk everything imported many times a second, a twelfth of a busy worker.
THRESHOLD = 20_000


def spare_what_stays() -> None:
    """Exempt everything that exists now, and collect more rarely. Call once, when all is imported and built."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(THRESHOLD)
