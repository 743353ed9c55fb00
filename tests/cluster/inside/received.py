"""Run inside the cluster: print how many results Redis has received, and when that was."""

import json
import time

import redis

from contract.result import CAMERAS_KEY, results_key

store = redis.Redis(host="redis")
added = 0
for camera in store.zrange(CAMERAS_KEY, 0, -1):
    added += store.xinfo_stream(results_key(camera.decode()))["entries-added"]
print(json.dumps({"received": added, "at": time.time()}))
