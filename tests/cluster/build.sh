#!/usr/bin/env bash
# Builds the programs of a one-node Kubernetes, KEDA and Prometheus from the Go module proxy: 500 core-seconds the first time,
# seconds from a warm Go build cache. Run as root after packages.sh. Usage: build.sh [DIR]
set -euo pipefail
DIR=${1:-${CLUSTER_DIR:-$HOME/.cache/seedstream/cluster}}
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
K8S=1.34.4 STAGING=0.34.4 ETCD=3.6.6 COREDNS=1.12.4 PROMETHEUS=0.305.0 KEDA=2.18.0
SRC=$DIR/src/go
mkdir -p "$DIR/bin"
exec 9>"$DIR/.building" && flock 9 # another one may be building ahead: wait for what it makes
export CGO_ENABLED=0 GOGC=1000 PATH=$DIR/bin:$PATH

# What this very script has built is not built again.
key=$(cat "${BASH_SOURCE[0]}" "$HERE"/programs/*/*.go | sha256sum)
[ "$(cat "$DIR/bin/.built" 2>/dev/null)" = "$key" ] && exit 0

# All are built as one module, so that what they share (the clients of Kubernetes, gRPC, OpenTelemetry) is compiled
# once, and without what is of no use here: inlining and debugging symbols are 40 percent of the compiler's work.
flags=("-gcflags=all=-l -dwarf=false")
module() { # what, field of what is said of it; asked again where the proxy does not answer
  local said try
  for try in 1 2 3 4; do
    said=$(go mod download -json "$1") && { python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$said" "$2"; return; }
    sleep $((5 * try))
  done
  echo "go mod download $1: $said" >&2
  return 1
}
rm -rf "$SRC" && mkdir -p "$SRC" && cd "$SRC"
cp -r "$HERE/programs" programs

copy() { local from; from=$(module "$1" Dir) && cp -r "$from" "$2" && chmod -R u+w "$2"; }

# KEDA with the scalers of our manifests alone; the other seventy bring the clients of every cloud and database.
copy "github.com/kedacore/keda/v2@v$KEDA" keda
find keda/pkg/scalers -maxdepth 1 -name '*.go' ! -name scaler.go ! -name kafka_scaler.go ! -name prometheus_scaler.go -delete
printf 'package scalers\n\nconst externalMetricType = "External" // was in a file of another scaler\n' >keda/pkg/scalers/external_metric_type.go
awk '/switch triggerType/ {inside = 1; print; next} /^\tdefault:/ {inside = 0}
  !inside || /case "(kafka|prometheus)":/ {print; kept = inside; next} kept {print; kept = 0}' \
  keda/pkg/scaling/scalers_builder.go >builder && mv builder keda/pkg/scaling/scalers_builder.go

# Prometheus is a year older than this version of Kubernetes' client, in which one function has another argument.
copy "github.com/prometheus/prometheus@v$PROMETHEUS" prometheus
sed -i 's/cache.DefaultWatchErrorHandler(r, err)/cache.DefaultWatchErrorHandler(context.Background(), r, err)/' prometheus/discovery/kubernetes/kubernetes.go
# Debian's is built without the discovery of Kubernetes' pods; the others bring the clients of every cloud.
printf 'package plugins\n\nimport _ "github.com/prometheus/prometheus/discovery/kubernetes"\n' >prometheus/plugins/plugins.go

kubernetes=$(module "k8s.io/kubernetes@v$K8S" GoMod)
{ # Kubernetes names its own libraries by folder; a build from outside has to name them by version.
  printf 'module cluster\ngo 1.26\nrequire (\n'
  printf '  %s v%s\n' k8s.io/kubernetes "$K8S" k8s.io/kubectl "$STAGING" go.etcd.io/etcd/server/v3 "$ETCD" github.com/coredns/coredns "$COREDNS" \
    github.com/prometheus/prometheus "$PROMETHEUS" github.com/kedacore/keda/v2 "$KEDA"
  printf ')\nreplace (\n  github.com/kedacore/keda/v2 => ./keda\n  github.com/prometheus/prometheus => ./prometheus\n'
  awk -v v="$STAGING" '/=> \.\/staging/ {print "  " $1 " => " $1 " v" v}' "$kubernetes"
  printf ')\n'
} >go.mod

programs=(./programs/{kubernetes,kubectl,coredns} go.etcd.io/etcd/server/v3 github.com/prometheus/prometheus/cmd/prometheus
  github.com/kedacore/keda/v2/cmd/{operator,adapter})
go list -mod=mod -deps "${programs[@]}" >/dev/null # completes go.mod for all, before anything is compiled

build() { local name=$1; shift; go build "${flags[@]}" -o "$DIR/bin/$name" "$@"; }
version="-X k8s.io/component-base/version.gitVersion=v$K8S -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34"
build kubernetes -ldflags "-s -w $version" ./programs/kubernetes
for name in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do ln -f "$DIR/bin/kubernetes" "$DIR/bin/$name"; done
command -v kubectl >/dev/null || build kubectl -ldflags "-s -w" ./programs/kubectl
build etcd -ldflags "-s -w" go.etcd.io/etcd/server/v3
build coredns -ldflags "-s -w" ./programs/coredns
build prometheus -ldflags "-s -w" github.com/prometheus/prometheus/cmd/prometheus
build "" -ldflags "-s -w" github.com/kedacore/keda/v2/cmd/{operator,adapter}

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
