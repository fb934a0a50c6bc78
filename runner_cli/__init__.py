"""The `beacon` command: starts the processes, talks to their API and checks the database."""
