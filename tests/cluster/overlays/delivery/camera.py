"""A camera that can be cut: the synthetic scene as MJPEG over HTTP, one frame in two seconds."""

import http.server
import itertools
import time

import simplejpeg

from producer.scene import Scene

SCENE = Scene(width=320, height=240, objects=4, seed=4)
PAUSE_SECONDS = 2.0


class Camera(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in itertools.count():
            jpeg = simplejpeg.encode_jpeg(SCENE.render(number)[0], quality=85)
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")
            time.sleep(PAUSE_SECONDS)


http.server.ThreadingHTTPServer(("", 8000), Camera).serve_forever()
