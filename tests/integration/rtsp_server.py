"""A real RTSP server (GStreamer's) as a child process, for tests of cameras.

Run as a program by the system's Python, where Debian installs GStreamer's bindings:
``/usr/bin/python3 rtsp_server.py PORT [USER PASSWORD]``; it prints ``ready`` and serves a moving
test picture of 320x240 at 15 frames per second, H.264, at rtsp://127.0.0.1:PORT/stream.
"""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stack.child_process import ChildProcess

SYSTEM_PYTHON = "/usr/bin/python3"
_IMPORTS = "import gi; gi.require_version('GstRtspServer', '1.0')"
_PIPELINE = (
    "( videotestsrc is-live=true pattern=ball ! "
    "video/x-raw,format=I420,width=320,height=240,framerate=15/1 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! "
    "rtph264pay name=pay0 pt=96 config-interval=1 )"
)


def missing() -> str | None:
    """Return why the server cannot run here, else None."""
    if not Path(SYSTEM_PYTHON).exists():
        return f"no {SYSTEM_PYTHON}"
    probe = subprocess.run([SYSTEM_PYTHON, "-c", _IMPORTS], capture_output=True, timeout=30)
    if probe.returncode == 0:
        return None
    return "GStreamer's RTSP server is missing: apt-get install gir1.2-gst-rtsp-server-1.0 ..."


def rtsp_server(log_path: Path, port: int, *credentials: str) -> "ChildProcess":
    """Start a server on ``port``, with a user name and password if given; it ends its ``with``."""
    # Here, since the system's Python, which runs this file, does not have our packages.
    from stack.child_process import ChildProcess

    command = [SYSTEM_PYTHON, __file__, str(port), *credentials]
    server = ChildProcess.spawn("RTSP server", command, log_path=log_path)
    server.wait_until(lambda: "ready\n" in server.text(), 30, "not ready")
    return server


def _serve(port: str, credentials: list[str]) -> None:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtsp, GstRtspServer

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(_PIPELINE)
    factory.set_shared(True)
    if credentials:
        role = "viewer"
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", role)
        auth.add_digest(*credentials, token)
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        server.set_auth(auth)
        factory.add_role_from_structure(
            Gst.Structure.from_string(
                f"{role}, media.factory.access=(boolean)true, "
                "media.factory.construct=(boolean)true;"
            )[0]
        )
    server.get_mount_points().add_factory("/stream", factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2:])
