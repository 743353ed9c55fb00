"""The line of stages between the loop and Redis; `workers.stages.stage` is their contract."""
