"""Crash points: each message of each verb is cut once in each way, and the books are checked each time."""
