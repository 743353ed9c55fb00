"""Run inside the cluster: wait until more frames come onto the topic; print for how many seconds.

Arguments: the topic, how many more, most seconds. Exits with 1 when they do not come. Reads only.
"""

import sys
import time

from kafka import KafkaConsumer, TopicPartition

from servers.kafka_network import network_client

topic, more, patience = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
began = time.monotonic()
consumer = KafkaConsumer(bootstrap_servers="kafka:9092", kafka_client=network_client)
partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
before = sum(consumer.end_offsets(partitions).values())
while sum(consumer.end_offsets(partitions).values()) < before + more:
    if time.monotonic() - began > patience:
        sys.exit(f"not {more} more frames on {topic} within {patience:.0f} s")
    time.sleep(0.5)
print(f"{time.monotonic() - began:.1f}")
