# One image for every process; the command says which. It has neither embedded servers nor test tools, runs as a user
# who is not root, with a read-only root, and writes to /tmp only. ops/image holds the hash of each wheel (`make lock`).
FROM python:3.13-slim-trixie AS build
WORKDIR /src
RUN python -m venv /opt/beacon
COPY ops/image ./ops/image
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r ops/image/build.txt \
 && /opt/beacon/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r ops/image/requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY sql ./sql
COPY docs ./docs
COPY regions ./regions
COPY Procfile ./
COPY runner_core ./runner_core
COPY runner_queue ./runner_queue
COPY runner_api ./runner_api
COPY outbox_publisher ./outbox_publisher
COPY runner_analyst ./runner_analyst
COPY runner_worker ./runner_worker
COPY runner_cli ./runner_cli
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel . \
 && /opt/beacon/bin/pip install --no-cache-dir --no-deps --no-index /wheel/*.whl

FROM python:3.13-slim-trixie
COPY --from=build /opt/beacon /opt/beacon
ENV PATH=/opt/beacon/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 1000 --no-create-home --shell /usr/sbin/nologin beacon
USER beacon
WORKDIR /tmp
EXPOSE 8090 9100
STOPSIGNAL SIGTERM
CMD ["python", "-m", "runner_api"]
