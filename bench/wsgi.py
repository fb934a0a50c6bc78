"""The API's application for another server than gunicorn, which loads it once in every worker process."""

from runner_api.server.serve import Configuration, Server

app = Server(Configuration.from_env()).load()
