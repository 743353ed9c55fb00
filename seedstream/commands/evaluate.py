"""``seedstream evaluate``."""

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer, text: str) -> None:
    """Add the subcommand."""

    @app.command("evaluate", help=text)
    def evaluate(
        model: Annotated[Path, typer.Option(help="Model artifact: a folder NAME/VERSION.")],
        video: Annotated[Path, typer.Option(help="Video that the true boxes belong to.")],
        boxes: Annotated[
            Path, typer.Option(help="True boxes: CSV lines frame,track,x,y,w,h in pixels, 1-based.")
        ],
        first: Annotated[int, typer.Option(help="First frame, counted from 1.")] = 301,
        last: Annotated[int, typer.Option(help="Last frame, inclusive.")] = 400,
        score: Annotated[
            float | None,
            typer.Option(help="Lowest instance score that counts, 0..1; default: the artifact's."),
        ] = None,
        class_name: Annotated[
            str, typer.Option("--class", help="Class that the boxes show.")
        ] = "person",
        iou: Annotated[
            float, typer.Option(help="Least intersection over union of a match, 0..1.")
        ] = 0.5,
        out: Annotated[Path | None, typer.Option(help="Also write the figures as JSON.")] = None,
    ) -> None:
        from model.evaluation.on_video import evaluate_boxes

        report = evaluate_boxes(
            model, video, boxes, first, last, score, class_name=class_name, iou=iou
        )
        print(f"frames {report.first}..{report.last}, {class_name}, IoU {report.iou:g}")
        print("score   recall  precision  f1")
        for scores in report.sweep:
            mark = "  <- reported" if scores is report.chosen else ""
            print(
                f"{scores.threshold:<7.3f} {scores.recall:.3f}   {scores.precision:.3f}"
                f"      {scores.f1:.3f}{mark}"
            )
        if out is not None:
            out.write_text(json.dumps(report.accuracy(), indent=2) + "\n")
