"""The peers: the same claim and the same result on the same server, with what each one's documentation recommends.

The modules beside this one run in the peers' own environment and import nothing of the project but bench.statements.
"""
