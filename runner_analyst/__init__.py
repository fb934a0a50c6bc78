"""The analyst: computes the comparison of each job that has ended, and stores it."""
