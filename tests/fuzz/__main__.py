"""``python -m tests.fuzz --inputs 1000000 --seed 1 [--parser frame]``: all parsers, or some.

Each process feeds one parser at a time. An input that raises anything but a named error, or takes
too long or too much memory, is written into ``--findings``, and the exit code is 1. SIGTERM or
Ctrl-C ends the run early, with what has been seen.
"""

import argparse
import hashlib
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import FrameType

from tests.fuzz.session import Finding, Outcome, last_input, on_alarm, run_session
from tests.fuzz.targets import TARGETS

_SILENCE_SECONDS = 300.0

_ended = False


def _end(_number: int, _frame: FrameType | None) -> None:
    global _ended
    _ended = True
    for process in multiprocessing.active_children():
        process.terminate()  # which each of them takes as this one does


def main() -> int:
    """Run and tell."""
    options = _options()
    options.findings.mkdir(parents=True, exist_ok=True)
    print(
        "parser | inputs | refused | outcomes | inputs/s | inputs/s of a core | most s | most MiB "
        "| findings",
        flush=True,
    )
    failed = False
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    for name in options.parser or TARGETS:
        if _ended:
            break
        seen = _run(name, options)
        _tell(name, seen, options.findings)
        failed = failed or bool(seen.findings)
    return int(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="inputs of each parser")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parser", action="append", choices=sorted(TARGETS), help="all unless set")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=86_400.0, help="most time for each parser")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    return parser.parse_args()


def _run(name: str, options: argparse.Namespace) -> Outcome:
    """Share the inputs of one parser out to processes; one that dies is a finding."""
    whole, share = Outcome(), -(-options.inputs // options.processes)
    end_at = time.monotonic() + options.seconds
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        workers = []
        for number in range(options.processes):
            note = Path(folder) / f"{number}"
            receive, send = context.Pipe(duplex=False)
            seed = options.seed * 1000 + number
            arguments = (name, share, seed, end_at, note, send)
            process = context.Process(target=_work, args=arguments)
            process.start()
            send.close()
            workers.append((process, receive, note))
        for process, receive, note in workers:
            limit = max(0.0, end_at - time.monotonic()) + _SILENCE_SECONDS
            try:
                ended = receive.poll(limit)
                whole.add(receive.recv() if ended else _died(note, "never returns"))
            except EOFError:
                process.join()
                whole.add(_died(note, f"ends the process with {process.exitcode}"))
            process.kill()
            process.join()
    return whole


def _work(name: str, inputs: int, seed: int, end_at: float, note: Path, send: object) -> None:
    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent passes it on
    logging.disable(logging.CRITICAL)
    _mute()
    try:
        send.send(run_session(name, inputs, seed, lambda: _over(end_at), note))  # type: ignore[attr-defined]
    except Exception:  # of the fuzzer itself
        traceback.print_exc(file=sys.stdout)
        raise


def _over(end_at: float) -> bool:
    return _ended or time.monotonic() > end_at


def _mute() -> None:
    """Libraries print what they find wrong."""
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), sys.stderr.fileno())


def _died(note: Path, what: str) -> Outcome:
    return Outcome(findings={what: Finding(what, last_input(note))})


def _tell(name: str, seen: Outcome, folder: Path) -> None:
    print(
        f"{name} | {seen.inputs:,} | {seen.refused:,} | {seen.outcomes:,} "
        f"| {seen.inputs / max(seen.seconds, 1e-9):,.0f} "
        f"| {seen.inputs / max(seen.busy_seconds, 1e-9):,.0f} | {seen.most_seconds:.2f} "
        f"| {seen.most_mebibytes:.0f} | {len(seen.findings)}",
        flush=True,
    )
    for finding in seen.findings.values():
        digest = hashlib.sha256(finding.data).hexdigest()[:12]
        path = folder / f"{name}-{digest}"
        path.write_bytes(finding.data)
        print(f"  {path}: {finding.what!r}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
