"""Brokers that die, change their leaders, go away together, and run out of disk."""

import os
import time

import pytest

from stack.child_process import ChildProcess
from tests.chaos.account import Row
from tests.chaos.kafka_cluster import BROKERS, KafkaCluster
from tests.chaos.rig import Rig, clean

LEADER_SECONDS = 30.0
"""A broker's session (6 s), an election, and clients that must learn of it."""

AWAY_SECONDS = 60.0
BACK_SECONDS = 60.0


def start(rig: Rig) -> None:
    for number in range(2):
        rig.add_worker(f"worker-{number}")
    rig.add_producer()
    rig.steady()


def bring_back(rig: Rig, brokers: KafkaCluster, number: int) -> None:
    brokers.start(number)
    rig.until(lambda: brokers.joined(number), 90, "the broker's return")
    rig.until(lambda: brokers.in_sync(rig.topic), 90, "all replicas in sync")


def test_the_broker_that_leads_is_killed_and_comes_back(
    rig: Rig, brokers: KafkaCluster, rows: list[Row]
) -> None:
    start(rig)
    victim = brokers.leaders(rig.topic)[0]
    died_at = time.time()
    brokers.kill(victim)
    took = rig.recovery(died_at, LEADER_SECONDS)
    bring_back(rig, brokers, victim)
    rows.append(rig.finish("broker killed -9, its replicas lead, back", took, LEADER_SECONDS))
    clean(rows[-1])


def test_leaders_change_while_all_brokers_live(
    rig: Rig, brokers: KafkaCluster, rows: list[Row]
) -> None:
    start(rig)
    victim = brokers.leaders(rig.topic)[0]
    brokers.kill(victim)
    rig.until(lambda: brokers.led_by(rig.topic, victim), 60, "other leaders")
    bring_back(rig, brokers, victim)
    before = brokers.leaders(rig.topic)
    began = time.time()
    brokers.elect_preferred()
    took = rig.recovery(began, LEADER_SECONDS)
    rig.until(lambda: brokers.leaders(rig.topic) not in ([], before), 30, "other leaders")
    rows.append(rig.finish("leaders change, all brokers alive", took, LEADER_SECONDS))
    clean(rows[-1])


@pytest.mark.timeout(400)
def test_all_brokers_are_away_for_a_minute(
    rig: Rig, brokers: KafkaCluster, rows: list[Row]
) -> None:
    start(rig)
    for number in range(BROKERS):
        brokers.kill(number)
    rig.run_for(AWAY_SECONDS)
    for number in range(BROKERS):
        brokers.start(number)
    rig.until(lambda: brokers.led_by(rig.topic, -1), 120, "leaders")
    back_at = time.time()
    took = rig.recovery(back_at, BACK_SECONDS)
    rig.until(lambda: brokers.in_sync(rig.topic), 90, "all replicas in sync")
    rows.append(rig.finish("all brokers away for 60 s", took, BACK_SECONDS))
    clean(rows[-1])


@pytest.mark.timeout(400)
def test_a_brokers_disk_is_full(rig: Rig, brokers: KafkaCluster, rows: list[Row]) -> None:
    if os.geteuid() != 0:
        pytest.skip("a disk of its own for a broker needs root (mount)")
    start(rig)
    number = BROKERS - 1
    filler = brokers.homes[number] / "data" / "filler"
    broker: ChildProcess = brokers.brokers[number]
    began = time.time()
    with filler.open("wb") as file:
        while fits(file.fileno()):
            pass
    rig.until(lambda: not broker.alive() or rig.newest(rig.cameras[0]) > began + 20, 90, "its end")
    note = "the broker ended" if not broker.alive() else "the broker went on"
    took = rig.recovery(began, LEADER_SECONDS + 60)
    filler.unlink()
    broker.kill()
    bring_back(rig, brokers, number)
    rows.append(rig.finish("a broker's disk is full", took, LEADER_SECONDS + 60, note))
    clean(rows[-1])


def fits(descriptor: int) -> bool:
    try:
        return os.write(descriptor, bytes(65_536)) == 65_536
    except OSError:
        return False
