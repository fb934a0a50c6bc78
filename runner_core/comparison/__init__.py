"""The method by which answers of different regions are compared. Nothing in this folder does I/O.

The package's name brings no numpy along: only `compare`, `wording`, `direction` and `permute` need numpy, and only the
analyst and the command line may import them.
"""

METHOD = "beacon-compare/1"
