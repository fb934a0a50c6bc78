# One image for every process; the command says which. Built without the embedded servers' and the tests' needs in mind:
# it runs as any user, with a read-only root, and writes to /tmp only.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/beacon
COPY pyproject.toml README.md LICENSE ./
COPY sql ./sql
COPY regions ./regions
COPY Procfile ./
COPY runner_core ./runner_core
COPY runner_api ./runner_api
COPY outbox_publisher ./outbox_publisher
COPY runner_worker ./runner_worker
COPY runner_cli ./runner_cli
RUN /opt/beacon/bin/pip install --no-cache-dir .

FROM python:3.11-slim-bookworm
COPY --from=build /opt/beacon /opt/beacon
ENV PATH=/opt/beacon/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 1000 --no-create-home --shell /usr/sbin/nologin beacon
USER beacon
WORKDIR /tmp
EXPOSE 8090 9100
STOPSIGNAL SIGTERM
CMD ["python", "-m", "runner_api"]
