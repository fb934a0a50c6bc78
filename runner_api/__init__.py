"""The HTTP API: it inserts jobs and reads what became of them. It can't publish: it knows neither Redis nor RQ.

The application is runner_api.app.create_app.
"""
