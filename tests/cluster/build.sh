#!/usr/bin/env bash
# Builds the programs of a one-node Kubernetes, KEDA and Prometheus from the Go module proxy. About 18 minutes on 2 cores the
# first time, seconds from a warm Go build cache. Run as root after packages.sh. Usage: build.sh [DIR]
set -euo pipefail
DIR=${1:-${CLUSTER_DIR:-$HOME/.cache/seedstream/cluster}}
K8S=1.34.4 STAGING=0.34.4 ETCD=3.6.6 COREDNS=1.12.1 KUBECTL=0.34.4 PROMETHEUS=0.305.0 KEDA=2.18.0
mkdir -p "$DIR"/{bin,src/{k8s,etcd}}
export CGO_ENABLED=0 PATH=$DIR/bin:$PATH

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

# Debian's Prometheus is built without the discovery of Kubernetes' pods.
mkdir -p "$DIR/src/prometheus" && cd "$DIR/src/prometheus"
printf 'module p\ngo 1.26\nrequire github.com/prometheus/prometheus v%s\n' "$PROMETHEUS" > go.mod
printf '//go:build tools\npackage p\nimport _ "github.com/prometheus/prometheus/cmd/prometheus"\n' > tools.go
go mod tidy -e >/dev/null 2>&1
go build -tags netgo,remove_all_sd,enable_kubernetes_sd -ldflags "-s -w" -o "$DIR/bin/prometheus" \
  github.com/prometheus/prometheus/cmd/prometheus

# KEDA's operator and metrics adapter, and its CRDs.
mkdir -p "$DIR/src/keda" && cd "$DIR/src/keda"
info=$(go mod download -json "github.com/kedacore/keda/v2@v$KEDA")
field() { python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1" <<<"$info"; }
{ printf 'module k\ngo 1.26\nrequire github.com/kedacore/keda/v2 v%s\n' "$KEDA"; awk '/^replace \(/{f=1} f{print} /^\)/{f=0}' "$(field GoMod)"; } > go.mod
printf '//go:build tools\npackage k\nimport (\n_ "github.com/kedacore/keda/v2/cmd/operator"\n_ "github.com/kedacore/keda/v2/cmd/adapter"\n)\n' > tools.go
go mod tidy -e >/dev/null 2>&1
go build -ldflags "-s -w" -o "$DIR/bin/" github.com/kedacore/keda/v2/cmd/{operator,adapter}
rm -rf crds && cp -r "$(field Dir)/config/crd/bases" crds && chmod -R u+w crds

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
