"""The numbers that association turns on, in seconds and object heights. Pure."""

from typing import NamedTuple


class Parameters(NamedTuple):
    """How objects are told apart.

    Chosen on frames 1..300 of a street scene, see docs/use/tracking.md. Heights are those of the
    object's box.
    """

    colour_weight: float = 1.7
    head_weight: float = 0.7
    overlap_weight: float = 1.1
    size_weight: float = 0.044
    unknown_colour: float = 0.047
    colour_most: float = 0.18
    widened: float = 0.47
    tracked_cost: float = 2
    tracked_seconds: float = 2.6
    reach: float = 0.53
    reach_speed: float = 1.7
    young_cost: float = 1.5
    relink_colour: float = 0.16
    adopt_colour: float = 0.08
    relink_reach: float = 0.78
    relink_speed: float = 1.1
    relink_most: float = 3.8
    blind_speed: float = 0.7
    blind_reach: float = 0.4
    relink_head_weight: float = 0.04
    lost_seconds: float = 8.0
    border_seconds: float = 0.78
    young_seconds: float = 0.7
    confirmed_hits: int = 3
    velocity_seconds: float = 0.52
    velocity_decay_seconds: float = 3.4
    colour_seconds: float = 1.0
    overlapped: float = 0.051
    overlapped_colour: float = 0.7
    overlapped_update: float = 0.25
    overlapped_velocity: float = 0.49
    border: float = 0.01
    session_seconds: float = 2.0


PARAMETERS = Parameters()
