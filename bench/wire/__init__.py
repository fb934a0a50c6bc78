"""Divides the byte streams of PostgreSQL, Redis and HTTP into messages, for proxies that act on single messages."""
