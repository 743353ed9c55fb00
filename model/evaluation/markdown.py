"""Foreign text in a Markdown page: names of pictures, classes and folders stay what they are."""

import re

_SPECIAL = re.compile(
    r"[\\`*\[\]<>|~&]"  # what means something anywhere
    r"|(?<![^\W_])_|_(?![^\W_])"  # inside a word, "_" is a letter
    r"|:(?=//)|(?<=www)\.",  # what GitHub makes a link of
    re.IGNORECASE,
)


def visible(text: str) -> str:
    """Return a text in one line, in which what cannot be seen is an escape, as Python writes it.

    That is control and bidirectional characters, other blanks than the space, half a surrogate.
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def plain(text: str) -> str:
    """Return Markdown that shows a text as it is, in a paragraph or in a cell of a table."""
    return _SPECIAL.sub(lambda match: f"\\{match[0]}", visible(text))


def code(text: str) -> str:
    """Return Markdown that shows a text, which is not empty, as code."""
    text = visible(text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{text}{space}{fence}"
