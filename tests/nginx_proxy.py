"""Debian's nginx in front of a viewer, with a configuration as the documentation shows it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stack.child_process import ChildProcess
from stack.launch import free_ports
from tests.fakes import wait_until
from tests.open_pages import fetch

_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
{location}
  }}
}}
"""


def documented_location(repository: Path) -> str:
    """Return the ``location`` that docs/use/live-page.md tells to write."""
    page = (repository / "docs" / "use" / "live-page.md").read_text()
    return page.split("```nginx\n")[1].split("```")[0]


@contextmanager
def nginx(folder: Path, location: str) -> Iterator[str]:
    """Start nginx with this ``location``; yield its HOST:PORT."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("no nginx on this machine")
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    path = folder / "nginx.conf"
    path.write_text(_CONFIGURATION.format(folder=folder, port=port, location=location))
    command = [program, "-c", str(path), "-p", str(folder)]
    with ChildProcess.spawn("nginx", command, log_path=folder / "nginx.log") as process:
        address = f"127.0.0.1:{port}"
        wait_until(lambda: process.exit_code is not None or _answers(address), seconds=10)
        assert process.exit_code is None, process.tail()
        yield address


def _answers(address: str) -> bool:
    try:
        return fetch(f"http://{address}/nothing", {}).status > 0
    except OSError:
        return False
