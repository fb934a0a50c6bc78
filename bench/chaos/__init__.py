"""Causes faults while jobs run, then checks that no promise was broken: `python -m bench.chaos --help`."""
