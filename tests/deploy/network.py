"""What NetworkPolicies let through: enough of their semantics for the policies that we have.

The cluster of the tests accepts policies and does not enforce them, so they are held against a list
of flows here.
"""

import ipaddress
from dataclasses import dataclass, field
from typing import Any

Policy = dict[str, Any]


@dataclass(frozen=True)
class End:
    """One end of a flow: a pod, or an address outside.

    Attributes:
        labels: Labels of the pod; None for an address.
        namespace: Namespace of the pod.
        address: Address, for blocks.
    """

    labels: dict[str, str] | None = field(default_factory=dict)
    namespace: str = "seedstream"
    address: str = "10.244.0.9"


def _selected(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for each in selector.get("matchExpressions", []):
        assert each["operator"] == "In", each
        if labels.get(each["key"]) not in each["values"]:
            return False
    return True


def _is_peer(peer: dict[str, Any], end: End) -> bool:
    if "ipBlock" in peer:
        address, block = ipaddress.ip_address(end.address), peer["ipBlock"]
        return address in ipaddress.ip_network(block["cidr"]) and not any(
            address in ipaddress.ip_network(each) for each in block.get("except", [])
        )
    if end.labels is None:
        return False
    if "namespaceSelector" in peer:
        names = {"kubernetes.io/metadata.name": end.namespace}
        if not _selected(peer["namespaceSelector"], names):
            return False
    elif end.namespace != "seedstream":
        return False
    return _selected(peer.get("podSelector", {}), end.labels)


def _passes(policies: list[Policy], way: str, ours: End, other: End, port: int, udp: bool) -> bool:
    if ours.labels is None or ours.namespace != "seedstream":
        return True  # not governed by our policies
    kind, peers_key = ("Ingress", "from") if way == "ingress" else ("Egress", "to")
    governing = [
        policy["spec"]
        for policy in policies
        if kind in policy["spec"].get("policyTypes", ["Ingress"])
        and _selected(policy["spec"]["podSelector"], ours.labels)
    ]
    for spec in governing:
        for rule in spec.get(way, []):
            ports = rule.get("ports")
            protocol = "UDP" if udp else "TCP"
            right = ports is None or any(
                p["port"] <= port <= p.get("endPort", p["port"])
                and p.get("protocol", "TCP") == protocol
                for p in ports
            )
            peers = rule.get(peers_key)
            if right and (peers is None or any(_is_peer(peer, other) for peer in peers)):
                return True
    return not governing


def allowed(policies: list[Policy], source: End, target: End, port: int, udp: bool = False) -> bool:
    """Return whether both ends let a connection through."""
    return _passes(policies, "egress", source, target, port, udp) and _passes(
        policies, "ingress", target, source, port, udp
    )
