"""Scores of tracks by TrackEval, in a process of its own: `model.evaluation.track_scores` runs it.

    PYTHONPATH=FOLDER_OF_TRACKEVAL python -P trackeval_program.py FOLDER IOU < lengths.json

FOLDER holds MOTChallenge text, ``true/NAME.txt`` and ``found/NAME.txt``; the standard input says
how many frames each sequence has, ``{"NAME": frames}``. Prints ``{"NAME": {"idf1": ...}}``.
"""

import contextlib
import json
import sys

import numpy as np
from trackeval.datasets import MotChallenge2DBox
from trackeval.metrics import CLEAR, HOTA, Identity

_QUIET = {"PRINT_CONFIG": False}


def scores(folder: str, lengths: dict[str, int], iou: float) -> dict[str, dict[str, float]]:
    """Return TrackEval's figures of each sequence.

    Args:
        folder: Holds ``true`` and ``found``.
        lengths: Frames of each sequence.
        iou: Least intersection over union of a matched pair, 0..1; HOTA has its own.
    """
    dataset = MotChallenge2DBox(
        _QUIET
        | {
            "GT_FOLDER": f"{folder}/true",
            "GT_LOC_FORMAT": "{gt_folder}/{seq}.txt",
            "TRACKERS_FOLDER": folder,
            "TRACKERS_TO_EVAL": ["found"],
            "TRACKER_SUB_FOLDER": "",
            "SKIP_SPLIT_FOL": True,
            "SEQ_INFO": lengths,
            "DO_PREPROC": False,  # there is one class, and nothing to be left out
        }
    )
    return {name: _sequence(dataset, name, iou) for name in lengths}


def _sequence(dataset: MotChallenge2DBox, name: str, iou: float) -> dict[str, float]:
    raw = dataset.get_raw_seq_data("found", name)
    data = dataset.get_preprocessed_seq_data(raw, "pedestrian")
    hota = HOTA(dict(_QUIET)).eval_sequence(data)
    clear = CLEAR(_QUIET | {"THRESHOLD": iou}).eval_sequence(data)
    identity = Identity(_QUIET | {"THRESHOLD": iou}).eval_sequence(data)
    return {
        "mota": float(clear["MOTA"]),
        "idf1": float(identity["IDF1"]),
        # At each of 19 thresholds; what is published is their mean, as TrackEval prints it.
        "hota": float(np.mean(hota["HOTA"])),
        "assa": float(np.mean(hota["AssA"])),
        "switches": int(clear["IDSW"]),
        "fragmentations": int(clear["Frag"]),
        "true_tracks": int(data["num_gt_ids"]),
        "found_tracks": int(data["num_tracker_ids"]),
    }


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        found = scores(sys.argv[1], json.load(sys.stdin), float(sys.argv[2]))
    json.dump(found, sys.stdout)
