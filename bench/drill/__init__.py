"""Rehearsals of what operators do rarely: an upgrade under load, and a restore from a dump."""
