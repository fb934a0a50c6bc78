"""The worker: claims region runs, asks the providers, stores the answers."""
