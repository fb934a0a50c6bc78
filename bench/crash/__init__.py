"""Crash points: each message of each verb is cut once in each way, and the results are checked each time."""
