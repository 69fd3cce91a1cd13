#!/usr/bin/env bash
# Installs by name the real clients and servers that the e2e tests drive: Debian's packages, Go programs through the Go
# module proxy, and the two small Go clients kept in clients/. Run it again at any time: what is there is left alone.
# Needs Debian, root for apt, and Go >= 1.26. Go programs go to ${ISTHMUS_E2E_TOOLS:-~/.cache/isthmus-e2e}/bin.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=${ISTHMUS_E2E_TOOLS:-${HOME:-/root}/.cache/isthmus-e2e}
bin=$tools/bin
mkdir -p "$bin"

say() { echo "e2e/install: $*"; }

# --- Debian's packages ------------------------------------------------------------------------------------------------

packages=(
  skopeo podman buildah docker.io docker-registry busybox-static nginx-light redis-server
  crun runc fuse-overlayfs iptables systemd ca-certificates openssl apache2-utils curl procps tar gzip zstd
)
# What the packages would start or enable; nothing of it may run beside the tests.
services=(docker.service docker.socket containerd.service docker-registry.service nginx.service redis-server.service
  podman.service podman.socket podman-auto-update.timer podman-restart.service)

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package"
  done
}

install_packages() {
  local policy=/usr/sbin/policy-rc.d saved=
  if [ -e "$policy" ]; then
    saved=$(mktemp)
    cp -p "$policy" "$saved"
  fi
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  restore_policy() {
    if [ -n "$saved" ]; then cp -p "$saved" "$policy" && rm -f "$saved"; else rm -f "$policy"; fi
  }
  trap restore_policy EXIT
  # Package lists may be old or absent on a new machine.
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >"$tools/apt.log" 2>&1 ||
    { tail -40 "$tools/apt.log" >&2; return 1; }
  restore_policy
  trap - EXIT
  if [ -d /run/systemd/system ]; then
    systemctl disable --now "${services[@]}" >/dev/null 2>&1 || true
  fi
}

mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -gt 0 ]; then
  say "apt: ${missing[*]}"
  install_packages "${missing[@]}"
fi

# --- Go programs ------------------------------------------------------------------------------------------------------

command -v go >/dev/null || { say 'Go is missing: install Go >= 1.26 and put it on the PATH' >&2; exit 1; }
export GOFLAGS=-buildvcs=false CGO_ENABLED=0

# NAME PACKAGE@VERSION: a stamp beside the program says which version it is, so a new pin is a new build.
go_program() {
  local name=$1 source=$2
  if [ -x "$bin/$name" ] && [ "$(cat "$bin/.$name.version" 2>/dev/null)" = "$source" ]; then return; fi
  say "go install $source"
  local out
  out=$(mktemp -d "$tools/build.XXXXXX")
  GOBIN=$out go install -trimpath -ldflags='-s -w' "$source"
  mv "$out/$(ls "$out")" "$bin/$name"
  rmdir "$out"
  echo "$source" >"$bin/.$name.version"
}

# NAME: a client whose source is in clients/NAME; built again when its source changes.
own_client() {
  local name=$1 sum
  sum=$(cd "$here/clients/$name" && cat -- *.go go.mod go.sum | sha256sum | cut -d' ' -f1)
  if [ -x "$bin/$name" ] && [ "$(cat "$bin/.$name.version" 2>/dev/null)" = "$sum" ]; then return; fi
  say "go build clients/$name"
  (cd "$here/clients/$name" && go build -trimpath -ldflags='-s -w' -o "$bin/$name" .)
  echo "$sum" >"$bin/.$name.version"
}

go_program registry-3 github.com/distribution/distribution/v3/cmd/registry@v3.1.1
go_program crane github.com/google/go-containerregistry/cmd/crane@v0.22.1
go_program regctl github.com/regclient/regclient/cmd/regctl@v0.11.7
go_program helm helm.sh/helm/v3/cmd/helm@v3.22.0
go_program cosign github.com/sigstore/cosign/v2/cmd/cosign@v2.6.5
go_program pebble github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1
go_program pebble-challtestsrv github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv@v2.10.1
go_program versitygw github.com/versity/versitygw/cmd/versitygw@v1.8.0
own_client dockerv1
own_client oras
own_client deploycheck

say "everything is there ($(du -sh "$bin" | cut -f1) in $bin)"
