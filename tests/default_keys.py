"""The keys of a lane whose prefix nobody set."""

from contract.result_keys import ResultKeys

KEYS = ResultKeys()
