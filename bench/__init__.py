"""Measurements: what happens under faults (chaos), how fast it is."""
