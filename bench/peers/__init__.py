"""The peers: each does the same claim and writes the same result, with the settings that its documentation recommends.

The modules here run in the peers' own environment. Of the project they import bench.statements only.
"""
