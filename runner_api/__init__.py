"""The HTTP API: it inserts jobs and reads what became of them. It can't publish: it knows neither Redis nor RQ.

Nothing is imported here: `python -m runner_api` has to set the metrics' directory before prometheus_client is loaded.
The application is runner_api.app.create_app.
"""
