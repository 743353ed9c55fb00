"""The numbers that association turns on, in seconds and heights of objects. Pure."""

from typing import NamedTuple


class Parameters(NamedTuple):
    """How objects are told apart.

    Chosen on frames 1..300 of one street scene and on the made scenes of the tests, then rounded;
    docs/use/tracking.md says how good they are. Distances between head points are in heights of the
    object, colour distances are 0 (equal) to 1.

    Attributes:
        colour_weight: Weight of the colour distance in the cost of a pair.
        head_weight: Weight of the distance between seen and expected head point.
        overlap_weight: Weight of 1 - IoU of widened boxes.
        unknown_colour: Colour distance that is assumed where colours are off or unknown.
        colour_cap: Colour distances beyond it count like it: a part of an object may look unlike
            the whole.
        colour_most: An instance that nobody overlaps is none whose colours are farther than this,
        resized: unless one of them is taller by this factor,
        going_on: or it is where the object must be: with more than this IoU of widened boxes,
        going_on_seconds: at most this time after the object was seen.
        widened: Share of its sides by which a box is widened on each side.
        tracked_seconds: A confirmed object that was seen within it competes by this cost.
        tracked_cost: Largest cost of such a pair.
        young_cost: Largest cost of a pair with an object that is not confirmed.
        reach: Largest distance of a pair at once.
        reach_speed: By how much that grows in a second unseen.
        blind_speed: The same where colours are off or unknown.
        relink_colour: Largest colour distance, plus a little for the way, at which a confirmed
            object that was lost is found again.
        relink_reach: Largest distance of such a pair at once.
        relink_speed: By how much that grows in a second unseen.
        relink_most: How far that grows.
        relink_head_weight: What such a pair costs at the largest distance.
        blind_reach: Largest distance of such a pair where colours are off or unknown.
        confirmed_hits: Frames that must show an object until it is confirmed.
        lost_seconds: An object that is not seen is forgotten after this time,
        border_seconds: one that was at the border of the picture after this,
        young_seconds: one that was never confirmed after this; not before a frame has come.
        border: Share of the picture's larger side that is its border.
        velocity_seconds: Time over which velocities are averaged.
        velocity_decay_seconds: An unseen object goes on for half of this time after as much time,
            and never farther than for this time.
        colour_seconds: Time over which colours are averaged.
        overlapped: An instance of which others' boxes cover more than this share is overlapped;
        overlapped_update: its colours are learnt at this share of the speed.
        session_seconds: A new session after a longer gap knows nobody.
    """

    colour_weight: float = 6.0
    head_weight: float = 0.8
    overlap_weight: float = 0.8
    unknown_colour: float = 0.05
    colour_cap: float = 0.1
    colour_most: float = 0.18
    resized: float = 1.25
    going_on: float = 0.6
    going_on_seconds: float = 0.5
    widened: float = 0.5
    tracked_seconds: float = 5.0
    tracked_cost: float = 2.0
    young_cost: float = 1.3
    reach: float = 0.25
    reach_speed: float = 2.5
    blind_speed: float = 1.2
    relink_colour: float = 0.15
    relink_reach: float = 0.8
    relink_speed: float = 1.4
    relink_most: float = 4.5
    relink_head_weight: float = 0.04
    blind_reach: float = 1.5
    confirmed_hits: int = 3
    lost_seconds: float = 10.0
    border_seconds: float = 0.5
    young_seconds: float = 1.0
    border: float = 0.01
    velocity_seconds: float = 0.4
    velocity_decay_seconds: float = 5.0
    colour_seconds: float = 1.0
    overlapped: float = 0.1
    overlapped_update: float = 0.15
    session_seconds: float = 2.0


PARAMETERS = Parameters()
