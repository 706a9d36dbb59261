#!/usr/bin/env bash
# `make image-check`: builds the Dockerfile and runs the image, without Docker and without asking for any image.
# The base is made of this machine's Debian and Python where there is no python:…-slim. About a minute, later 15 s.
# Needs root and Debian; elsewhere it says so and ends with 0, for which there is `docker build`.
set -euo pipefail
cd "$(dirname "$0")/.."
repo=$PWD
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot

skip() {
  echo "image-check: skipped: $1"
  exit 0
}
[ "$(id -u)" = 0 ] || skip "it needs root"
unshare --mount true 2>/dev/null || skip "it may not mount anything here"
for tool in buildah podman runc mmdebstrap; do
  command -v "$tool" >/dev/null || skip "there is no $tool (apt-get install --no-install-recommends buildah podman runc mmdebstrap)"
done

version=$(sed -n 's/^ARG PYTHON=//p' Dockerfile)
base=localhost/python:$version-slim
work=$(mktemp -d)
containers=(bridge-check bridge-check-stamped)
p() { podman --runtime runc --cgroup-manager cgroupfs --events-backend file "$@"; }
end() {
  for each in "${containers[@]}"; do p rm -f -t 1 "$each" >/dev/null 2>&1 || true; done
  p volume rm -f bridge-check >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap end EXIT
fail() {
  echo "image-check: $1" >&2
  p logs --tail 20 bridge-check >&2 || true
  exit 1
}

if ! buildah images -q "$base" >/dev/null 2>&1; then
  python=$("python$version" -c 'import sys; print(sys.base_prefix)' 2>/dev/null) || skip "there is no Python $version"
  [ -d "$python/lib/python$version" ] || skip "Python $version has no library in $python"
  # shellcheck source=/dev/null
  suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
  sources=/etc/apt/sources.list.d/debian.sources
  [ -f "$sources" ] || skip "there is no $sources"
  # What python:…-slim has besides Python.
  libraries=ca-certificates,netbase,tzdata,libssl3,libffi8,libsqlite3-0,zlib1g,libbz2-1.0,liblzma5,libreadline8,libncursesw6,libuuid1,libexpat1
  mmdebstrap --quiet --variant=minbase --mode=root --include="$libraries" "$suite" "$work/base.tar" "$sources"
  mkdir "$work/tree"
  tar -C "$work/tree" -xf "$work/base.tar" --exclude='./dev/*'
  (
    cd "$python"
    shopt -s nullglob
    tar -cf - --exclude="lib/python$version/site-packages" --exclude="lib/python$version/test" --exclude=__pycache__ \
      --exclude='*.a' "lib/python$version" lib/libpython3* bin/python*3*
  ) | tar -C "$work/tree/usr/local" -xf -
  mkdir -p "$work/tree/usr/local/lib/python$version/site-packages"
  ln -sf "python$version" "$work/tree/usr/local/bin/python"
  echo /usr/local/lib >"$work/tree/etc/ld.so.conf.d/000-local.conf"
  chroot "$work/tree" ldconfig
  chroot "$work/tree" "python$version" -m ensurepip --default-pip >/dev/null 2>&1
  certificates=/etc/ssl/certs/ca-certificates.crt # this machine's may have one more
  cp "$certificates" "$work/tree$certificates"
  made=$(buildah from scratch)
  buildah add -q "$made" "$work/tree" / >/dev/null
  buildah config --env PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --env "PIP_CERT=$certificates" \
    --env "SSL_CERT_FILE=$certificates" --cmd python3 "$made"
  buildah commit -q "$made" "$base" >/dev/null
  buildah rm "$made" >/dev/null
fi

buildah bud --quiet --layers --pull-never --format docker --tag bridge:check "$repo" >"$work/build" 2>&1 || {
  tail -n 30 "$work/build" >&2
  exit 1
}
buildah inspect --type image bridge:check | grep -q '"org.opencontainers.image.licenses": "MIT"' || fail "it has no labels"

files=$(ulimit -Hn)
run=(run --detach --read-only --read-only-tmpfs=false --tmpfs /tmp --cap-drop all --security-opt no-new-privileges
  --ulimit "nofile=$files:$files" --ulimit nproc=4096:4096)
for each in "${containers[@]}"; do p rm -f -t 1 "$each" >/dev/null 2>&1 || true; done
p volume rm -f bridge-check >/dev/null 2>&1 || true
p "${run[@]}" --name bridge-check-stamped --no-healthcheck --network none bridge:check ipaas-stamped sandbox >/dev/null
for _ in $(seq 60); do
  p logs bridge-check-stamped 2>/dev/null | grep -q STORE_HASH && break
  sleep 0.5
done
{
  p logs bridge-check-stamped 2>/dev/null | grep '='
  echo IPAAS_WEBHOOK_API_KEY=image-check-webhook-key
  echo OPERATOR_API_KEY=image-check-operator-key
} >"$work/env"
p "${run[@]}" --name bridge-check --network container:bridge-check-stamped --stop-timeout 30 --env-file "$work/env" \
  --volume bridge-check:/app/data bridge:check >/dev/null 2>&1 # no systemd looks at its health: we do
p exec -i bridge-check python - http://127.0.0.1:8080 image-check-webhook-key <tools/smoke.py || fail "it does not do its job"
p healthcheck run bridge-check >/dev/null || fail "it is not healthy"
# shellcheck disable=SC2016 # the container's
p exec bridge-check sh -c 'test "$(id -u)" = 10001 && ! touch /app/x 2>/dev/null && touch /app/data/x' \
  || fail "it is not uid 10001 on a read-only file system with /app/data"
p exec bridge-check sh -c '! command -v sqlite3' >/dev/null || fail "it has sqlite3, so backup may need it"
p exec bridge-check ipaas-stamped backup data/copy.db >/dev/null || fail "no backup"
p exec bridge-check python -c \
  'import sqlite3; assert sqlite3.connect("data/copy.db").execute("SELECT count(*) FROM transfers").fetchone() == (1,)' \
  || fail "the backup is empty"
p stop bridge-check >/dev/null 2>&1
code=$(p inspect bridge-check --format '{{.State.ExitCode}}')
[ "$code" = 0 ] || fail "it ended with $code after SIGTERM"
p logs bridge-check 2>&1 | grep -q '"event": "stopped"' || fail "it did not end by itself after SIGTERM"
echo "The image: uid 10001, read-only, healthy, a customer created, a backup made, ended by SIGTERM."
