# syntax=docker/dockerfile:1
ARG PYTHON=3.11
# Whoever can ask for it may name it by its digest: --build-arg BASE=python:3.11-slim@sha256:…
ARG BASE=python:${PYTHON}-slim

FROM ${BASE} AS build
ARG UV=0.13.9
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir --disable-pip-version-check "uv==${UV}"
WORKDIR /app
# What changes rarely first: the dependencies keep their layer while only the code changes. OpenTelemetry is there, and
# is not even imported unless OTEL_ variables ask for it.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-dev --extra otel --no-install-project
COPY app app
RUN uv sync --frozen --no-dev --extra otel --no-editable

FROM ${BASE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ipaas-stamped" \
      org.opencontainers.image.description="Customer bridge from iPaaS.com to Stamped.io" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.source="https://github.com/example/ipaas-stamped" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --gid 10001 bridge \
    && useradd --uid 10001 --gid bridge --no-create-home --home-dir /app --shell /usr/sbin/nologin bridge \
    && install --directory --owner=bridge --group=bridge /app/data
# Owned by root: the service cannot change its own code. Only /app/data is written to.
COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001:10001
VOLUME /app/data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "from os import environ; from http.client import HTTPConnection; c = HTTPConnection('127.0.0.1', int(environ.get('PORT') or 8080), timeout=2); c.request('GET', '/livez'); raise SystemExit(c.getresponse().status != 200)"]
# SIGTERM lets running transfers end within 20 s: give it longer than Docker's 10 s (--stop-timeout 30).
CMD ["ipaas-stamped", "serve", "--host", "0.0.0.0", "--no-sandbox"]
