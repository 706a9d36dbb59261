#!/usr/bin/env bash
# `make wheel-check`: the wheel, in an environment of its own outside of this folder, serves against the sandbox.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:$PWD/.venv/bin"
python=$PWD/.venv/bin/python

work=$(mktemp -d)
service=
end() {
  [ -z "$service" ] || kill -TERM "$service" 2>/dev/null || true
  wait
  rm -rf "$work"
}
trap end EXIT

uv build --quiet --wheel --python "$python" --out-dir "$work"
uv export --quiet --frozen --no-dev --no-emit-project >"$work/requirements.txt"
env -u UV_PROJECT_ENVIRONMENT uv venv --quiet --python "$python" "$work/venv"
uv pip install --quiet --python "$work/venv/bin/python" --require-hashes -r "$work/requirements.txt"
uv pip install --quiet --python "$work/venv/bin/python" --no-deps "$work"/*.whl

port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir "$work/empty"
cd "$work/empty" # neither the code nor a .env of the project
PORT=$port "$work/venv/bin/ipaas-stamped" serve >"$work/log" 2>&1 &
service=$!
"$work/venv/bin/python" "$OLDPWD/tools/smoke.py" "http://127.0.0.1:$port" sandbox-webhook-key || { tail -n 20 "$work/log"; exit 1; }
"$work/venv/bin/python" -c 'from importlib.metadata import metadata; print(*metadata("ipaas-stamped").get_all("Classifier"), sep="\n")' \
  | grep -q 'Private :: Do Not Upload' || { echo "it says nowhere that it is not for upload" >&2; exit 1; }
echo "The wheel serves outside of the repository."
