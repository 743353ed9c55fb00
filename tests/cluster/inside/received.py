"""Run inside the cluster: print how many results Redis has received, and when that was."""

import json
import time

import redis

from contract.result_keys import ResultKeys

store = redis.Redis(host="redis")
added = 0
for camera in store.zrange(ResultKeys().cameras, 0, -1):
    added += store.xinfo_stream(ResultKeys().results(camera.decode()))["entries-added"]
print(json.dumps({"received": added, "at": time.time()}))
