"""Carries outbox rows to Redis, and brings back what got lost on the way."""
