#!/usr/bin/env bash
# Builds programs that read manifests, from the Go module proxy, and prints where they are. Usage: tools.sh NAME...
# NAME: kustomize-5.0.3, kustomize-5.8.1, helm-3.19.5 (each by the libraries of that release).
set -euo pipefail
DIR=${SEEDSTREAM_TOOLS:-$HOME/.cache/seedstream/tools}
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export CGO_ENABLED=0 GOGC=400
mkdir -p "$DIR"
exec 9>"$DIR/.building" && flock 9 # another one may be building: wait for what it makes

# What a release of a program is made of: its libraries, as its own go.mod names them.
libraries() {
  case $1 in
    kustomize-5.0.3) echo sigs.k8s.io/kustomize/api@v0.13.4 sigs.k8s.io/kustomize/kyaml@v0.14.2 ;;
    kustomize-5.8.1) echo sigs.k8s.io/kustomize/api@v0.21.1 sigs.k8s.io/kustomize/kyaml@v0.21.1 ;;
    helm-3.19.5) echo helm.sh/helm/v3@v3.19.5 k8s.io/{api,apiextensions-apiserver,apimachinery,client-go}@v0.34.4 ;; # as build.sh of tests/cluster, whose cache it shares
    *) echo "tools.sh: no program $1" >&2; return 1 ;;
  esac
}

get() { # asked again where the proxy does not answer
  local try said
  for try in 1 2 3 4; do
    said=$(go get "$@" 2>&1) && return
    sleep $((5 * try))
  done
  echo "go get $*: $said" >&2
  return 1
}

for name in "$@"; do
  program=$HERE/programs/${name%-*}
  wanted=$(libraries "$name")
  key=$({ echo "$wanted"; cat "${BASH_SOURCE[0]}" "$program"/*.go; } | sha256sum)
  if [ ! -x "$DIR/$name" ] || [ "$(cat "$DIR/.$name" 2>/dev/null)" != "$key" ]; then
    from=$(mktemp -d)
    trap 'rm -rf "$from"' EXIT
    cp "$program"/*.go "$from"
    cd "$from"
    go mod init seedstream.test/tool >/dev/null 2>&1
    # shellcheck disable=SC2086
    get $wanted
    go build -mod=mod "-gcflags=all=-l -dwarf=false" -ldflags "-s -w" -o "$DIR/$name" .
    echo "$key" >"$DIR/.$name"
    cd "$HERE" && rm -rf "$from"
  fi
  echo "$DIR/$name"
done
