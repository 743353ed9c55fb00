"""Records that are no frames, in bursts among those that are."""

import random
import time
from contextlib import closing

from kafka import KafkaProducer

from contract.frame import encode_frame
from stack.frame_ledger import topic_ends
from tests.chaos.account import Row
from tests.chaos.rig import Rig, clean
from tests.fakes import jpeg, make_frame

BOUND_SECONDS = 15.0
BURSTS, BURST = 4, 50
FLOOD = 4000


def test_poison_comes_in_bursts(rig: Rig, rows: list[Row], dice: random.Random) -> None:
    for number in range(2):
        rig.add_worker(f"worker-{number}")
    rig.add_producer()
    rig.steady()
    sent = 0
    with closing(KafkaProducer(bootstrap_servers=rig.bootstrap_servers)) as producer:
        for _ in range(BURSTS):
            for _ in range(BURST):
                producer.send(rig.topic, **poison(dice, sent))
                sent += 1
            producer.flush(20)
            rig.run_for(dice.uniform(1, 2))
    took = rig.recovery(time.time(), BOUND_SECONDS)
    name = f"poison: {BURSTS} bursts of {BURST} records among good ones"
    rows.append(rig.finish(name, took, BOUND_SECONDS))
    assert sum(clean(rows[-1]).dead.values()) == sent


def test_a_topic_of_nothing_but_poison_stops_the_worker_instead_of_being_drained(
    rig: Rig, rows: list[Row], dice: random.Random
) -> None:
    slot = rig.add_worker("worker-0", seconds=0)
    slot.wanted = False
    with closing(KafkaProducer(bootstrap_servers=rig.bootstrap_servers)) as producer:
        for number in range(FLOOD):
            producer.send(rig.topic, **poison(dice, number))
        producer.flush(60)
    rig.until(lambda: not slot.process.alive(), 60, "the worker's end")
    assert slot.process.exit_code == 2
    with closing(rig.consumer()) as consumer:
        drained = sum(topic_ends(consumer, rig.dead_topic).values())
    assert 0 < drained < FLOOD / 2
    began = time.time()
    rig.add_worker("worker-1", max_dead_share=1)
    rig.add_producer()
    took = rig.recovery(began, 60)
    name = f"poison alone, {FLOOD} records: the worker stops; one that bears it goes on"
    note = f"stopped after {drained} dead letters, exit 2"
    rows.append(rig.finish(name, took, 60, note))
    assert sum(clean(rows[-1]).dead.values()) == FLOOD


def poison(dice: random.Random, number: int) -> dict[str, object]:
    """Return a record that no worker can use, on a random partition."""
    camera = f"poison-{number % 7}"
    whole = jpeg()
    pictures = {
        "cut": whole[: dice.randrange(20, len(whole) - 20)],
        "noise": dice.randbytes(500),
        "empty": b"",
    }
    kind = dice.choice(["bare", "null", "header", *pictures])
    if kind == "bare":
        record: dict[str, object] = {"key": b"x", "value": dice.randbytes(dice.randrange(1, 2000))}
    elif kind == "null":
        record = {"key": b"x", "value": None, "headers": [("ce_type", b"\xff\xfe")]}
    else:
        frame = make_frame(camera, number, data=pictures.get(kind, whole))
        key, value, headers = encode_frame(frame)
        if kind == "header":
            spoilt = dice.choice(["ce_width", "ce_time", "ce_session", "ce_sequence"])
            headers = [(name, b"x" if name == spoilt else text) for name, text in headers]
        record = {"key": key, "value": value, "headers": headers}
    return record | {"partition": dice.randrange(6)}
