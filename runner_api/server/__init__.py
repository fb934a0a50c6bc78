"""gunicorn around the application: its settings, its worker, its clients' connections."""
