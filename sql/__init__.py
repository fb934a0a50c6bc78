"""Every statement of the project, as data: migrations, named queries, invariants."""
