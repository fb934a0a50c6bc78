"""The method by which answers of different regions are compared. Nothing in this folder does I/O.

The package's name brings no numpy along. `permute`, `samples`, `testing`, `spread` and what imports them,
up to `compare`, need it: only the analyst and the command line may import these.
"""

METHOD = "beacon-compare/1"
