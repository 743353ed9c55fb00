"""The flows that the system needs pass the NetworkPolicies, and others do not."""

import pytest

from tests.deploy.manifests import REPOSITORY, build, overlay
from tests.deploy.network import End, allowed

TRIED = build(REPOSITORY / "tests" / "cluster" / "overlays" / "training")
POLICIES = {
    "local": [each for each in overlay("local") if each["kind"] == "NetworkPolicy"],
    "production": [each for each in overlay("production") if each["kind"] == "NetworkPolicy"],
    "tried": [each for each in TRIED if each["kind"] == "NetworkPolicy"],
}


def pod(component: str) -> End:
    """A pod of ours, with the labels that its workload gives it."""
    found = [
        each["spec"]["template"]["metadata"]["labels"]
        for each in TRIED
        if each["kind"] in ("Deployment", "StatefulSet", "Job")
        and each["spec"]["template"]["metadata"]["labels"].get("app.kubernetes.io/component")
        == component
        and each["metadata"]["name"] != "topic-few"
    ]
    (labels,) = found
    return End(labels)


producer, worker, kafka, redis = map(pod, ("producer", "worker", "kafka", "redis"))
topics, trainer, prometheus = map(pod, ("kafka-topics", "trainer", "prometheus"))
viewer = pod("viewer")
ingress = End({"app": "ingress", "seedstream/shows-pages": "true"}, "ingress")
dns = End({"k8s-app": "kube-dns"}, "kube-system")
keda = End({"app": "keda-operator"}, "keda")
operator = End({"app": "prometheus"}, "monitoring")
stranger = End({"app": "shell"}, "default")
reader = End({"seedstream/reads-results": "true"}, "dashboards")
camera = End(None, address="10.20.0.7")
internet = End(None, address="93.184.216.34")
metadata = End(None, address="169.254.169.254")
apiserver = End(None, address="10.96.0.1")
brokers = End(None, address="10.1.2.3")
others = [End(None, address=each) for each in ("172.20.1.1", "192.168.7.8", "fd12:3456::1")]
camera6 = End(None, address="2001:db8::7")
pod_outside = End({"app": "database"}, "default", address="10.244.3.3")
node_dns = End(None, address="169.254.20.10")
translated_dns = End(None, address="10.96.0.10")
openshift_dns = End({"dns.operator.openshift.io/daemonset-dns": "default"}, "openshift-dns")
link_local6 = End(None, address="fe80::1")
metadata6 = End(None, address="fd00:ec2::254")
pod6 = End(None, address="fd00:10:244::9")


@pytest.mark.parametrize(
    ("where", "source", "target", "port", "udp"),
    [
        ("local", producer, kafka, 9092, False),
        ("local", worker, kafka, 9092, False),
        ("local", topics, kafka, 9092, False),
        ("local", worker, redis, 6379, False),
        ("local", reader, redis, 6379, False),
        ("local", keda, kafka, 9092, False),
        ("local", viewer, redis, 6379, False),
        ("local", viewer, kafka, 9092, False),
        ("local", ingress, viewer, 8090, False),
        ("tried", prometheus, viewer, 8091, False),
        ("production", viewer, brokers, 6379, False),
        ("production", viewer, End({"app": "prometheus"}, "monitoring"), 9090, False),
        ("production", operator, viewer, 8091, False),
        ("local", producer, camera, 554, False),
        ("local", producer, camera, 80, False),
        *[("local", each, dns, 53, True) for each in (producer, worker, kafka, redis, topics)],
        ("tried", prometheus, worker, 8080, False),
        ("tried", prometheus, producer, 8081, False),
        ("tried", prometheus, apiserver, 443, False),
        ("tried", keda, prometheus, 9090, False),
        ("production", producer, brokers, 9093, False),
        ("production", worker, brokers, 9093, False),
        ("production", worker, brokers, 6379, False),
        ("production", operator, worker, 8080, False),
        ("production", operator, producer, 8081, False),
        *[("local", each, node_dns, 53, True) for each in (producer, worker, viewer, kafka)],
        ("production", worker, translated_dns, 53, True),
        ("production", worker, openshift_dns, 5353, True),
        ("production", worker, openshift_dns, 5353, False),
        *[
            ("production", each, where, port, False)
            for each in (producer, worker, viewer)
            for where in (brokers, *others)
            for port in (9092, 9093, 9094, 9096)
        ],
        *[("production", worker, where, port, False) for where in others for port in (6379, 6380)],
        *[(where, producer, camera6, 554, False) for where in ("local", "production")],
    ],
)
def test_what_the_system_needs_passes(
    where: str, source: End, target: End, port: int, udp: bool
) -> None:
    assert allowed(POLICIES[where], source, target, port, udp)


@pytest.mark.parametrize(
    ("where", "source", "target", "port"),
    [
        ("local", stranger, End({"app": "yours"}), 80),  # default-deny alone governs it
        ("local", stranger, worker, 8080),
        ("local", stranger, viewer, 8090),
        ("local", ingress, viewer, 8091),
        ("local", ingress, redis, 6379),
        ("local", viewer, internet, 443),
        ("local", viewer, worker, 8080),
        ("local", producer, worker, 8080),
        ("local", prometheus, worker, 8080),  # not part of `local`
        ("local", stranger, kafka, 9092),
        ("local", redis, kafka, 9092),
        ("local", stranger, redis, 6379),
        ("local", producer, redis, 6379),
        ("local", worker, internet, 443),
        ("local", worker, producer, 8081),
        ("local", producer, metadata, 80),
        ("local", producer, internet, 25),
        ("local", redis, internet, 443),
        ("local", kafka, internet, 443),
        ("tried", trainer, internet, 443),
        ("tried", trainer, kafka, 9092),
        ("tried", stranger, prometheus, 9090),
        ("production", worker, internet, 443),
        ("production", worker, camera, 554),
        ("production", stranger, producer, 8081),
        ("production", producer, brokers, 6379),
        ("production", worker, camera6, 554),
        *[
            (where, producer, target, port)
            for where in ("local", "production")
            for target in (
                pod_outside,
                worker,
                viewer,
                apiserver,
                metadata,
                link_local6,
                metadata6,
                pod6,
            )
            for port in (80, 443, 554, 8554)
        ],
        *[("local", producer, End(None, address=each), 443) for each in ("10.42.1.1", "10.43.0.1")],
        ("local", worker, node_dns, 80),
        ("local", worker, stranger, 53),
    ],
)
def test_what_nobody_needs_does_not_pass(where: str, source: End, target: End, port: int) -> None:
    assert not allowed(POLICIES[where], source, target, port)
