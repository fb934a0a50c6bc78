"""Causes every fault on purpose while jobs run, then counts the books: `python -m bench.chaos --help`."""
