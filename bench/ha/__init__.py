"""`python -m bench.ha`: three machines of ops/ha on this one, under load, and what is lost when one of them dies."""
