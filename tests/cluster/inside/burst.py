"""Run inside the cluster: publish a burst of frames of cameras of its own, or a poisoned record.

Arguments: the topic, how many frames (0: one record that is no frame), how many cameras.
"""

import sys
from datetime import UTC, datetime

import simplejpeg
from kafka import KafkaProducer

from contract.frame import Frame, encode_frame, new_session
from producer.scene import Scene
from servers.kafka_network import network_client

topic, frames, cameras = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
producer = KafkaProducer(bootstrap_servers="kafka:9092", acks="all", kafka_client=network_client)
if not frames:
    producer.send(topic, key=b"poison", value=b"no image", headers=[("ce_type", b"other.v9")])
scene = Scene(width=320, height=240, objects=4, seed=9)
sessions = [new_session() for _ in range(cameras)]
for number in range(frames):
    camera, sequence = number % cameras, number // cameras
    image = simplejpeg.encode_jpeg(scene.render(number)[0], quality=80)
    frame = Frame(
        camera=f"burst-{camera}", session=sessions[camera], sequence=sequence,
        captured_at=datetime.now(UTC), width=320, height=240, data=image,
    )  # fmt: skip
    key, value, headers = encode_frame(frame)
    producer.send(topic, key=key, value=value, headers=headers)
producer.flush(60)
print("sent")
