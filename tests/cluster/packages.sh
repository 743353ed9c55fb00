#!/usr/bin/env bash
# Installs Debian's parts of the cluster: containerd, runc, buildah and what they need. Run as root.
set -euo pipefail
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
