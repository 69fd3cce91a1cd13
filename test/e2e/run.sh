#!/usr/bin/env bash
# Runs the compiled e2e tests one file after the other; names of files, such as `kill`, choose among them.
# Every tool must be there: test/e2e/install.sh installs them. Needs root, as dockerd does.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
own=${ISTHMUS_E2E_TOOLS:-${HOME:-/root}/.cache/isthmus-e2e}/bin

missing=()
for name in dockerd docker runc podman buildah skopeo docker-registry busybox nginx systemd-analyze redis-server tar zstd \
  registry-3 crane regctl helm cosign oras dockerv1 deploycheck pebble pebble-challtestsrv versitygw; do
  PATH=$own:/usr/bin:/usr/sbin:/bin:/sbin:$PATH command -v "$name" >/dev/null || missing+=("$name")
done
if [ "${#missing[@]}" -gt 0 ]; then
  echo "e2e: missing: ${missing[*]}; run test/e2e/install.sh" >&2
  exit 1
fi
if [ "$(id -u)" != 0 ]; then
  echo 'e2e: must run as root: dockerd does' >&2
  exit 1
fi

files=()
if [ "$#" -eq 0 ]; then
  mapfile -t files < <(find "$root/dist/test/e2e" -name '*.test.js' | sort)
else
  for name in "$@"; do files+=("$root/dist/test/e2e/${name%.test*}.test.js"); done
fi
cd "$root"
exec node --enable-source-maps --test --test-concurrency=1 --test-timeout=900000 "${files[@]}"
