"""The code for Redis that publisher and workers share: connections, the format of messages, push, take, stack marker.

Redis only carries messages; everything can be restored from PostgreSQL. RQ's code is not used here: the hashes are
written in RQ's format by hand.
"""
