"""Runs regions: claims a lease, asks the providers, stores the answers."""
