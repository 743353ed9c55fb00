#!/usr/bin/env bash
# Puts KEDA's operator and metrics adapter, which build.sh has built, in one image and runs them in the cluster that up.sh
# started, with its CRDs. Usage: keda.sh [DIR]
set -euo pipefail
DIR=${1:-${CLUSTER_DIR:-$HOME/.cache/seedstream/cluster}}
R=$DIR/run
kubectl() { nsenter --net=/run/netns/seedstream kubectl --kubeconfig "$R/admin.conf" "$@"; }
export CONTAINERD_ADDRESS=$R/containerd.sock PATH=$DIR/bin:$PATH

image=$(buildah --storage-driver=overlay --root "$DIR/buildah" --runroot "$DIR/buildah-run" from scratch)
buildah --storage-driver=overlay --root "$DIR/buildah" --runroot "$DIR/buildah-run" copy -q "$image" "$DIR/bin/operator" "$DIR/bin/adapter" / >/dev/null
buildah --storage-driver=overlay --root "$DIR/buildah" --runroot "$DIR/buildah-run" commit -q "$image" "oci-archive:$R/keda.tar:localhost/keda:1" >/dev/null
buildah --storage-driver=overlay --root "$DIR/buildah" --runroot "$DIR/buildah-run" rm "$image" >/dev/null
ctr -n k8s.io images import "$R/keda.tar" >/dev/null

cd "$R/pki"
openssl req -newkey rsa:2048 -nodes -keyout keda.key -out keda.csr -subj /CN=keda-operator 2>/dev/null
openssl x509 -req -in keda.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out keda.crt -extfile <(printf \
  'subjectAltName=DNS:keda-operator.keda.svc,DNS:keda-operator.keda.svc.cluster.local,DNS:keda-metrics.keda.svc') 2>/dev/null
kubectl apply --server-side -f "$DIR/src/go/keda/config/crd/bases" >/dev/null
kubectl create namespace keda
kubectl -n keda create secret generic kedaorg-certs --from-file=tls.crt=keda.crt --from-file=tls.key=keda.key --from-file=ca.crt
kubectl -n keda create serviceaccount keda
kubectl create clusterrolebinding keda --clusterrole=cluster-admin --serviceaccount=keda:keda
kubectl apply -f - <<'Y'
apiVersion: apps/v1
kind: Deployment
metadata: {name: keda-operator, namespace: keda}
spec:
  selector: {matchLabels: {app: keda-operator}}
  template:
    metadata: {labels: {app: keda-operator}}
    spec:
      serviceAccountName: keda
      containers:
      - name: operator
        image: localhost/keda:1
        imagePullPolicy: Never
        command: [/operator, --leader-elect=false, --enable-cert-rotation=false, --enable-webhook-patching=false, --cert-dir=/certs, "--metrics-service-bind-address=:9666"]
        env: [{name: WATCH_NAMESPACE, value: ""}, {name: POD_NAMESPACE, value: keda}, {name: POD_NAME, value: keda}]
        volumeMounts: [{name: certs, mountPath: /certs}]
      volumes: [{name: certs, secret: {secretName: kedaorg-certs}}]
---
apiVersion: v1
kind: Service
metadata: {name: keda-operator, namespace: keda}
spec: {selector: {app: keda-operator}, ports: [{port: 9666}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: keda-adapter, namespace: keda}
spec:
  selector: {matchLabels: {app: keda-adapter}}
  template:
    metadata: {labels: {app: keda-adapter}}
    spec:
      serviceAccountName: keda
      containers:
      - name: adapter
        image: localhost/keda:1
        imagePullPolicy: Never
        command: [/adapter, --secure-port=6450, "--metrics-service-address=keda-operator.keda.svc.cluster.local:9666", --client-ca-file=/certs/ca.crt, --tls-cert-file=/certs/tls.crt, --tls-private-key-file=/certs/tls.key, --cert-dir=/certs]
        env: [{name: WATCH_NAMESPACE, value: ""}, {name: POD_NAMESPACE, value: keda}]
        volumeMounts: [{name: certs, mountPath: /certs}]
      volumes: [{name: certs, secret: {secretName: kedaorg-certs}}]
---
apiVersion: v1
kind: Service
metadata: {name: keda-metrics, namespace: keda}
spec: {selector: {app: keda-adapter}, ports: [{name: https, port: 443, targetPort: 6450}]}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.external.metrics.k8s.io}
spec: {group: external.metrics.k8s.io, version: v1beta1, groupPriorityMinimum: 100, versionPriority: 100, insecureSkipTLSVerify: true, service: {name: keda-metrics, namespace: keda}}
Y
kubectl -n keda rollout status deploy/keda-operator deploy/keda-adapter --timeout=90s
