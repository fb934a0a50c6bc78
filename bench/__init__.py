"""Benchmarks, and tests of the whole system under faults (chaos, crash, interleavings, model)."""
