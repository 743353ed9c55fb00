"""Names of the layouts of data sets; imported by every command, so nothing else is here."""

from typing import Literal

Layout = Literal[
    "auto",
    "cityscapes",
    "coco",
    "label-maps",
    "labelme",
    "mapillary",
    "object-masks",
    "voc",
    "yolo",
]
"""What to take a data set for; ``auto`` looks at its files (`model.data.open.detect`)."""
