#!/usr/bin/env bash
# Builds the programs of a one-node Kubernetes from the Go module proxy and Debian. About 8 minutes on 2 cores the first
# time, seconds from a warm Go build cache. Run as root. Usage: build.sh [DIR]
set -euo pipefail
DIR=${1:-${CLUSTER_DIR:-$HOME/.cache/seedstream/cluster}}
K8S=1.34.4 STAGING=0.34.4 ETCD=3.6.6 COREDNS=1.12.1 KUBECTL=0.34.4 PROMETHEUS=0.305.0
mkdir -p "$DIR"/{bin,src/{k8s,etcd}}
export CGO_ENABLED=0 PATH=$DIR/bin:$PATH

packages=()
for pair in containerd:containerd runc:runc buildah:buildah debootstrap:debootstrap iptables:iptables ip:iproute2 \
  conntrack:conntrack gcc:gcc openssl:openssl; do
  command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
done
[ -x /usr/lib/cni/bridge ] || packages+=(containernetworking-plugins)
[ -e /usr/include/stdlib.h ] || packages+=(libc6-dev)
if [ ${#packages[@]} -gt 0 ]; then
  echo "installing: ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # Nothing that is installed here may start by itself.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
  fi
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

# What this very script has built is not built again.
key=$(sha256sum <"${BASH_SOURCE[0]}")
[ "$(cat "$DIR/bin/.built" 2>/dev/null)" = "$key" ] && exit 0
if ! command -v kubectl >/dev/null; then
  mkdir -p "$DIR/src/kubectl" && cd "$DIR/src/kubectl"
  printf 'module k\ngo 1.26\nrequire k8s.io/kubectl v%s\n' "$KUBECTL" >go.mod
  printf 'package main\nimport (\n"os"\n"k8s.io/component-base/cli"\n"k8s.io/kubectl/pkg/cmd"\n)\nfunc main() { os.Exit(cli.Run(cmd.NewDefaultKubectlCommand())) }\n' >main.go
  go mod tidy -e >/dev/null 2>&1
  go build -ldflags "-s -w" -o "$DIR/bin/kubectl" .
fi

cd "$DIR/src/k8s"
mod=$(go mod download -json "k8s.io/kubernetes@v$K8S" | python3 -c 'import json,sys; print(json.load(sys.stdin)["GoMod"])')
{ # Kubernetes names its own libraries by folder; a build from outside has to name them by version.
  printf 'module cluster\ngo 1.26\nrequire k8s.io/kubernetes v%s\nreplace (\n' "$K8S"
  awk -v v="$STAGING" '/=> \.\/staging/ {print "  " $1 " => " $1 " v" v}' "$mod"
  printf ')\n'
} > go.mod
{ printf '//go:build tools\npackage cluster\nimport (\n'
  for c in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do printf '_ "k8s.io/kubernetes/cmd/%s"\n' "$c"; done
  printf ')\n'; } > tools.go
go mod tidy -e >/dev/null 2>&1
version="-X k8s.io/component-base/version.gitVersion=v$K8S -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34"
go build -ldflags "-s -w $version" -o "$DIR/bin/" \
  k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kube-proxy}

cd "$DIR/src/etcd"
printf 'module e\ngo 1.26\nrequire go.etcd.io/etcd/server/v3 v%s\n' "$ETCD" > go.mod
printf '//go:build tools\npackage e\nimport _ "go.etcd.io/etcd/server/v3"\n' > tools.go
go mod tidy -e >/dev/null 2>&1
go build -ldflags "-s -w" -o "$DIR/bin/etcd" go.etcd.io/etcd/server/v3

GOBIN="$DIR/bin" go install "github.com/coredns/coredns@v$COREDNS"
GOBIN="$DIR/bin" go install github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0

# Debian's Prometheus is built without the discovery of Kubernetes' pods.
mkdir -p "$DIR/src/prometheus" && cd "$DIR/src/prometheus"
printf 'module p\ngo 1.26\nrequire github.com/prometheus/prometheus v%s\n' "$PROMETHEUS" > go.mod
printf '//go:build tools\npackage p\nimport _ "github.com/prometheus/prometheus/cmd/prometheus"\n' > tools.go
go mod tidy -e >/dev/null 2>&1
go build -tags netgo,remove_all_sd,enable_kubernetes_sd -ldflags "-s -w" -o "$DIR/bin/prometheus" \
  github.com/prometheus/prometheus/cmd/prometheus

# The pause container: reaps children, ends on a signal.
cat > "$DIR/src/pause.c" <<'C'
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void end(int s) { exit(0); }
static void reap(int s) { while (waitpid(-1, 0, WNOHANG) > 0); }
int main(void) { signal(SIGTERM, end); signal(SIGINT, end); signal(SIGCHLD, reap); for (;;) pause(); }
C
gcc -static -O2 -s -o "$DIR/bin/pause" "$DIR/src/pause.c"
echo "$key" >"$DIR/bin/.built"
ls "$DIR/bin"
