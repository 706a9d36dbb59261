# syntax=docker/dockerfile:1
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG UV=0.13.9
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir --disable-pip-version-check "uv==${UV}"
WORKDIR /app
# What changes rarely first: the dependencies keep their layer while only the code changes.
COPY pyproject.toml uv.lock README.md ./
RUN uv sync --frozen --no-dev --no-install-project
COPY app app
RUN uv sync --frozen --no-dev --no-editable

FROM python:${PYTHON}-slim
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
