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
from kafka import KafkaConsumer, TopicPartition

from contract.errors import InvalidMessageError
from contract.frame import decode_frame
from contract.result import DOCUMENT_FIELD, decode_result, results_key

PATIENCE_SECONDS = 150.0

topic, group, begin_at = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
consumer = KafkaConsumer(
    bootstrap_servers="kafka:9092",
    group_id=group,
    enable_auto_commit=False,
    max_partition_fetch_bytes=8 << 20,
)
partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]
ends = consumer.end_offsets(partitions)
began = time.monotonic()
while True:
    committed = {p: consumer.committed(p) or 0 for p in partitions}
    behind = sum(max(0, ends[p] - committed[p]) for p in partitions)
    if not behind or time.monotonic() - began > PATIENCE_SECONDS:
        break
    time.sleep(0.5)

# Never joins the group: partitions are assigned by hand, nothing is committed.
consumer.assign(partitions)
for p in partitions:
    consumer.seek(p, begin_at.get(str(p.partition), 0))
frames, invalid, sequences = collections.defaultdict(list), 0, collections.defaultdict(list)
while any(consumer.position(p) < ends[p] for p in partitions):
    for p, records in consumer.poll(1000).items():
        for record in records:
            if record.offset >= ends[p]:
                continue
            try:
                frame = decode_frame(record.key, record.value, record.headers, max_bytes=1 << 24)
            except InvalidMessageError:
                invalid += 1
                continue
            frames[frame.camera].append((frame.session, frame.sequence))
            sequences[frame.session].append(frame.sequence)

store = redis.Redis(host="redis")
published = stored = missing = duplicates = disorder = 0
versions, examples = collections.Counter(), []
for camera, sent in frames.items():
    results = [
        decode_result(e[DOCUMENT_FIELD.encode()]) for _, e in store.xrange(results_key(camera))
    ]
    found = [(result.session, result.sequence) for result in results]
    counts, wanted = collections.Counter(found), set(sent)
    published += len(sent)
    stored += sum(1 for each in wanted if counts[each])
    missing += sum(1 for each in wanted if not counts[each])
    examples += [[camera, *each] for each in sent if not counts[each]][:3]
    duplicates += sum(counts[each] - 1 for each in wanted if counts[each] > 1)
    disorder += [each for each in found if each in wanted] != list(dict.fromkeys(sent))
    for result in results:
        if (result.session, result.sequence) in wanted:
            versions[f"{result.model.name}/{result.model.version}"] += 1

dead = [
    TopicPartition("frames.dead", p) for p in consumer.partitions_for_topic("frames.dead") or ()
]
json.dump(
    {
        "published": published,
        "stored": stored,
        "missing": missing,
        "duplicates": duplicates,
        "cameras_out_of_order": disorder,
        "invalid": invalid,
        "dead_letters": sum(consumer.end_offsets(dead).values()) if dead else 0,
        "sessions": {session: [min(s), max(s), len(s)] for session, s in sequences.items()},
        "cameras": sorted(frames),
        "models": versions,
        "behind": behind,
        "waited_seconds": round(time.monotonic() - began, 1),
        "ends": {p.partition: end for p, end in ends.items()},
        "examples": examples,
    },
    sys.stdout,
)
