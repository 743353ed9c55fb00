"""Names that can never be looked up, for which the system raises no ``OSError``. Pure."""

WHY = "a part of it between two dots is empty, longer than 63 characters, or not as names are"
"""What is wrong with them."""


def can_be_looked_up(host: str) -> bool:
    """Return whether a host's name, or its address, has the form that looking it up takes."""
    try:
        host.encode("idna")  # as the socket module does
    except UnicodeError:
        return False
    return True
