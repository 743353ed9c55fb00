#!/usr/bin/env bash
# Installs Debian's parts of the cluster: containerd, runc, buildah and what they need. Run as root.
set -euo pipefail
packages=()
for pair in containerd:containerd runc:runc buildah:buildah mmdebstrap:mmdebstrap iptables:iptables ip:iproute2 \
  conntrack:conntrack gcc:gcc openssl:openssl; do
  command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
done
[ -x /usr/lib/cni/bridge ] || packages+=(containernetworking-plugins)
[ -e /usr/include/stdlib.h ] || packages+=(libc6-dev)
exec "$(dirname "$0")/../../.ci/install-packages" "${packages[@]}"
