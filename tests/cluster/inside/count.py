"""Run inside the cluster: compare every frame on Kafka with every result in Redis.

Arguments: the topic, the group, and as JSON the positions {partition: position} where the last
count ended (empty: from the start). Waits until the group has committed all that is on the topic
now, then prints one JSON document. Reads only.
"""

import collections
import json
import sys
import time

import redis
from kafka import KafkaConsumer

from servers.kafka_network import network_client
from stack.frame_ledger import (
    FrameLedger,
    frame_id,
    published_frames,
    read_results,
    read_topic,
    topic_ends,
)

PATIENCE_SECONDS = 450.0

topic, group = sys.argv[1:3]
begin = {int(partition): position for partition, position in json.loads(sys.argv[3]).items()}
consumer = KafkaConsumer(
    bootstrap_servers="kafka:9092",
    group_id=group,
    enable_auto_commit=False,
    kafka_client=network_client,
    max_partition_fetch_bytes=8 << 20,
)
ends = topic_ends(consumer, topic)
began = time.monotonic()
while True:
    behind = sum(max(0, end - (consumer.committed(p) or 0)) for p, end in ends.items())
    if not behind or time.monotonic() - began > PATIENCE_SECONDS:
        break
    time.sleep(0.5)

frames, invalid = published_frames(read_topic(consumer, ends, begin))
store = redis.Redis(host="redis")
results = {camera: read_results(store, camera) for camera in frames}
found = {camera: [frame_id(each) for each in results[camera]] for camera in results}
ledger = FrameLedger.from_frames(frames, found)
sessions: dict[str, list[int]] = collections.defaultdict(list)
for session, sequence in (each for sent in frames.values() for each in sent):
    sessions[session].append(sequence)
counted = {each for sent in frames.values() for each in sent}
json.dump(
    {
        "published": sum(each.published + each.published_twice for each in ledger.cameras),
        "stored": sum(each.stored for each in ledger.cameras),
        "missing": sum(len(each.missing) for each in ledger.cameras),
        "duplicates": sum(each.stored_twice for each in ledger.cameras),
        "cameras_out_of_order": sum(not each.in_order for each in ledger.cameras),
        "faults": ledger.faults(),
        "invalid": invalid,
        "dead_letters": sum(topic_ends(consumer, "frames.dead").values()),
        "sessions": {session: [min(s), max(s), len(s)] for session, s in sessions.items()},
        "cameras": sorted(frames),
        "models": collections.Counter(
            f"{each.model.name}/{each.model.version}"
            for each in (each for stored in results.values() for each in stored)
            if frame_id(each) in counted
        ),
        "behind": behind,
        "waited_seconds": round(time.monotonic() - began, 1),
        "ends": {p.partition: end for p, end in ends.items()},
    },
    sys.stdout,
)
