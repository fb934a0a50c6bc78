"""The side of a worker process that RQ's tools see: RQ's Worker and Job, the registration, the function of a message.

Nothing here makes a call or writes to PostgreSQL: messages go to the engine in batches.
"""
