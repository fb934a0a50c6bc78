"""What the publisher and the workers share of Redis: how to connect, the format of a message, push, take, whose it is.

Redis carries messages and holds no truth. RQ's code is not used here: the hashes are written in RQ's format by hand.
"""
