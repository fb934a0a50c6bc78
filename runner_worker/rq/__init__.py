"""The part of a worker that uses RQ: RQ's Worker and Job classes, the registration, the function that messages name.

Nothing here makes calls or writes to PostgreSQL: messages are passed to the engine in batches.
"""
