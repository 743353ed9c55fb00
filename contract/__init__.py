"""Ground floor: what two parties must agree on, and nothing else.

A module may enter only if its first line names the two parties.
"""
