"""The publisher: pushes outbox rows to Redis, and stages regions again whose message or worker was lost."""
