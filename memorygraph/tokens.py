"""How many tokens a language model makes of a text, where no tokenizer is at hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

TokenCounter = Callable[[str], int]


def estimate_tokens(text: str) -> int:
    """Estimate how many tokens a language model makes of a text, without a tokenizer.

    A word counts one per 6 letters begun, a number one per 3 digits, any other sign one, and so does each letter of a
    script without an alphabet. For English this comes out somewhat above what byte-pair tokenizers give. For an exact
    figure, give ``context`` the model's own counter.
    """
    return sum(-(-len(match[0]) // _PIECE_LENGTHS[match.lastgroup or "sign"]) for match in _PIECE.finditer(text))


_PIECE: Final = re.compile(r"(?P<word>[^\W\d_\u2e80-\U0010ffff]+)|(?P<digits>\d+)|(?P<sign>\S)|(?P<line>\n+)")
_PIECE_LENGTHS: Final = {"word": 6, "digits": 3, "sign": 1, "line": 1_000}
