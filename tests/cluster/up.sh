#!/usr/bin/env bash
# One-node Kubernetes as plain processes, in a network namespace with no way out. Run as root after build.sh.
# Usage: up.sh [DIR]; then `nsenter --net=/run/netns/seedstream kubectl --kubeconfig DIR/run/admin.conf ...`
set -euo pipefail
DIR=${1:-${CLUSTER_DIR:-$HOME/.cache/seedstream/cluster}}
B=$DIR/bin R=$DIR/run NS=seedstream NODE=10.245.0.1
[ -e "$R" ] && { echo "already up (or left over): run down.sh first" >&2; exit 1; }
mkdir -p "$R"
# The kubelet sets these for the whole machine; down.sh sets them back.
sysctl vm.overcommit_memory kernel.panic kernel.panic_on_oops >"$R/sysctl" 2>/dev/null || true
mkdir -p "$R"/{pki,log,pid,cni,etcd,kubelet,ctd}
# Images stay from one start to the next, unless the last end was not an orderly one.
if [ -e "$DIR/containerd/.in-use" ]; then rm -rf "$DIR/containerd"; fi
mkdir -p "$DIR/containerd" && touch "$DIR/containerd/.in-use"

# `ip netns exec` would hide /sys/fs/cgroup; nsenter --net does not.
export PATH=$DIR/bin:$PATH
inside() { nsenter --net=/run/netns/$NS "$@"; }
start() { local name=$1; shift; nohup nsenter --net=/run/netns/$NS "$@" >"$R/log/$name" 2>&1 & echo $! >"$R/pid/$name"; }

ip netns add $NS
inside ip link set lo up
inside ip link add node0 type bridge            # no `dummy` device in this kernel
inside ip addr add $NODE/24 dev node0
inside ip link set node0 up
inside ip route add 10.96.0.0/16 dev node0      # services from the node itself: no default route exists
inside sysctl -qw net.ipv4.ip_forward=1

cd "$R/pki"
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=ca 2>/dev/null
certificate() { # name, subject, alternative names
  openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" \
    -extfile <(printf 'subjectAltName=%s' "$3") 2>/dev/null
}
certificate apiserver /CN=kube-apiserver "DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:10.96.0.1,IP:$NODE,IP:127.0.0.1"
certificate apiserver-kubelet /O=system:masters/CN=apiserver-kubelet DNS:apiserver
certificate front-proxy /CN=front-proxy DNS:front-proxy   # aggregated APIs, such as external metrics
certificate kubelet /O=system:nodes/CN=system:node:node1 "DNS:node1,IP:$NODE"
openssl genrsa -out sa.key 2048 2>/dev/null
openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
admin=$(openssl rand -hex 16) node=$(openssl rand -hex 16)
printf '%s,admin,admin,"system:masters"\n%s,system:node:node1,node1,"system:nodes"\n' "$admin" "$node" > tokens.csv
kubeconfig() { # file, token
  cat >"$R/$1" <<K
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://$NODE:6443", certificate-authority: $R/pki/ca.crt}}]
users: [{name: u, user: {token: $2}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
K
}
kubeconfig admin.conf "$admin"
kubeconfig kubelet.conf "$node"

cat >"$R/containerd.toml" <<T
version = 2
root = "$DIR/containerd"
state = "$R/ctd/state"
[grpc]
  address = "$R/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true   # this machine has no CAP_SYS_RESOURCE; without this runc fails with "final child's PID"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$R/cni"
T
cat >"$R/cni/10-pods.conflist" <<T
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
T
cat >"$R/kubelet.yaml" <<T
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false               # cgroup v1 here: Kubernetes 1.35 and later refuse it
failSwapOn: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix://$R/containerd.sock
tlsCertFile: $R/pki/kubelet.crt
tlsPrivateKeyFile: $R/pki/kubelet.key
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $R/pki/ca.crt}}
authorization: {mode: Webhook}
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
resolvConf: ""
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: "100Mi", nodefs.available: "1%", imagefs.available: "1%"}
enforceNodeAllocatable: []
maxPods: 60
T

start containerd containerd -c "$R/containerd.toml"
start etcd "$B/etcd" --data-dir "$R/etcd" --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 \
  --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
start apiserver "$B/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --advertise-address=$NODE --secure-port=6443 \
  --tls-cert-file=apiserver.crt --tls-private-key-file=apiserver.key --client-ca-file=ca.crt \
  --kubelet-client-certificate=apiserver-kubelet.crt --kubelet-client-key=apiserver-kubelet.key \
  --kubelet-certificate-authority=ca.crt --kubelet-preferred-address-types=InternalIP \
  --service-account-key-file=sa.pub --service-account-signing-key-file=sa.key \
  --service-account-issuer=https://kubernetes.default.svc --token-auth-file=tokens.csv \
  --requestheader-client-ca-file=ca.crt --requestheader-allowed-names=front-proxy \
  --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
  --requestheader-extra-headers-prefix=X-Remote-Extra- \
  --proxy-client-cert-file=front-proxy.crt --proxy-client-key-file=front-proxy.key --enable-aggregator-routing=true \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
  --service-cluster-ip-range=10.96.0.0/16 --allow-privileged=true
for _ in $(seq 200); do
  inside kubectl --kubeconfig "$R/admin.conf" get --raw /readyz >/dev/null 2>&1 && break; sleep 0.3
done
# The autoscaler looks each 5 s instead of 15: tests wait for it.
start controller-manager "$B/kube-controller-manager" --kubeconfig="$R/admin.conf" --leader-elect=false --horizontal-pod-autoscaler-sync-period=5s \
  --service-account-private-key-file=sa.key --root-ca-file=ca.crt --use-service-account-credentials=true
start scheduler "$B/kube-scheduler" --kubeconfig="$R/admin.conf" --leader-elect=false
start kubelet "$B/kubelet" --config="$R/kubelet.yaml" --kubeconfig="$R/kubelet.conf" --hostname-override=node1 \
  --node-ip=$NODE --root-dir="$R/kubelet"
start proxy "$B/kube-proxy" --kubeconfig="$R/admin.conf" --hostname-override=node1 --proxy-mode=iptables \
  --cluster-cidr=10.244.0.0/16 --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0s --conntrack-tcp-timeout-close-wait=0s

# Images: the pause container; then `buildah push IMAGE oci-archive:X.tar:NAME` and `ctr -n k8s.io images import X.tar`.
image=$(buildah --storage-driver=overlay --root "$DIR/buildah" --runroot "$DIR/buildah-run" from scratch)
buildah --storage-driver=overlay --root "$DIR/buildah" --runroot "$DIR/buildah-run" copy -q "$image" "$B/pause" /pause >/dev/null
buildah --storage-driver=overlay --root "$DIR/buildah" --runroot "$DIR/buildah-run" config --entrypoint '["/pause"]' "$image"
buildah --storage-driver=overlay --root "$DIR/buildah" --runroot "$DIR/buildah-run" commit -q "$image" "oci-archive:$R/pause.tar:localhost/pause:1" >/dev/null
buildah --storage-driver=overlay --root "$DIR/buildah" --runroot "$DIR/buildah-run" rm "$image" >/dev/null
CONTAINERD_ADDRESS="$R/containerd.sock" ctr -n k8s.io images import "$R/pause.tar" >/dev/null

# DNS: CoreDNS on the node, reached under the cluster's DNS address through a Service without a selector.
cat >"$R/Corefile" <<T
.:1053 {
  bind $NODE
  kubernetes cluster.local {
    kubeconfig $R/admin.conf
  }
}
T
start coredns "$B/coredns" -conf "$R/Corefile"
inside kubectl --kubeconfig "$R/admin.conf" apply -f - >/dev/null <<T
{"apiVersion": "v1", "kind": "List", "items": [
 {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns", "namespace": "kube-system"},
  "spec": {"clusterIP": "10.96.0.10", "ports": [{"name": "dns", "port": 53, "targetPort": 1053, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "targetPort": 1053}]}},
 {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
  "metadata": {"name": "kube-dns-node", "namespace": "kube-system", "labels": {"kubernetes.io/service-name": "kube-dns"}},
  "addressType": "IPv4", "endpoints": [{"addresses": ["$NODE"]}],
  "ports": [{"name": "dns", "port": 1053, "protocol": "UDP"}, {"name": "dns-tcp", "port": 1053, "protocol": "TCP"}]}]}
T
inside kubectl --kubeconfig "$R/admin.conf" wait --for=condition=Ready node/node1 --timeout=60s
