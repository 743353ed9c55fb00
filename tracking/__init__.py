"""Identities through time: the instances of one camera's frames in, one track per object out.

Pure: no input or output, no clock, no randomness. The same frames give the same tracks, byte for
byte, whichever worker computes them: `advance` takes the state and returns the next one.

    state = State.empty(first_track=1)
    for instances, picture, moment in frames:
        step = advance(state, observe(instances, picture), moment)
        state = step.state
"""

from tracking.observations import Observations, observe
from tracking.state import State
from tracking.tracker import Step, advance
from tracking.values import Identity, Moment

__all__ = ["Identity", "Moment", "Observations", "State", "Step", "advance", "observe"]
