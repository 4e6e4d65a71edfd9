"""Text from outside: cleaned before it is shown, refused before it is passed on as a command."""

from __future__ import annotations

import unicodedata

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def cleaned(text: str) -> str:
    """`text` fit to show: line breaks and tabs become spaces, other control characters and stray surrogates U+FFFD."""
    shown = (" " if char in "\t\n\r" else REPLACEMENT if _unfit(char) else char for char in text)
    return "".join(shown).strip()


def flaw_in(text: str) -> str:
    """Why `text` cannot be a name in a line-based protocol, in a few words; empty when it can."""
    if any(unicodedata.category(char) == "Cs" for char in text):
        return "its name is not valid UTF-8"
    if any(_unfit(char) for char in text):
        return "its name contains a control character"
    return ""


def _unfit(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs")
