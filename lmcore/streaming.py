"""Text that appears while its tokens are drawn: whole characters only, and no beginning of a stop string.

What has been shown cannot be taken back, so everything that the next token may still change is held. Left
out: decoders that afterwards change what stands before, as WordPiece's clean-up of blanks does.
"""

import re
from collections.abc import Sequence

from lmcore.errors import InputError
from lmcore.tokenizer import Tokenizer

NO_CHARACTER = "\ufffd"  # what decoding gives for bytes that are no whole character
BYTE_TOKEN = re.compile("<0x[0-9A-F]{2}>")  # SentencePiece's spelling of a byte


class Characters:
    """Token ids in, their text out, as soon as no later token can change it.

    A token of a byte-level tokenizer may end inside a character: its text waits for the rest. All pieces
    together are what `Tokenizer.decode` makes of all ids together. The cost of a token does not grow: only
    the ids since the last piece, and those of that piece, are decoded.
    """

    def __init__(self, tokenizer: Tokenizer, prompt_ids: Sequence[int]):
        self.tokenizer = tokenizer
        self.context = list(prompt_ids)  # their text is out; some decoders look at the token before
        self.held: list[int] = []

    def push(self, token_id: int) -> str:
        """The text that has become sure."""
        self.held.append(token_id)
        text = self._text()
        # a run of byte tokens may become something else as a whole, as long as it lasts
        spelled = self.tokenizer.backend.id_to_token(token_id) or ""
        if text.endswith(NO_CHARACTER) or BYTE_TOKEN.fullmatch(spelled):
            return ""
        self.context, self.held = self.held, []
        return text

    def rest(self) -> str:
        """What was held back, when no token follows; bytes without a character become U+FFFD."""
        text, self.held = self._text(), []
        return text

    def _text(self) -> str:
        known = self.tokenizer.decode(self.context)
        return self.tokenizer.decode([*self.context, *self.held])[len(known) :]


class StopStrings:
    """Passes text on up to the stop string that is complete first; of two that end together, the longer.

    So it does not matter how the text is cut into pieces. Raises InputError for an empty stop string.
    """

    def __init__(self, stops: Sequence[str]):
        if "" in stops:
            raise InputError("a stop string has 0 characters; at least 1 is needed")
        self.stops = stops
        self.held = ""  # may be the beginning of a stop string
        self.found = False

    def push(self, text: str) -> str:
        """What can be passed on; after a stop string was ``found``, nothing."""
        if self.found:
            return ""
        text = self.held + text
        hits = [(text.find(stop) + len(stop), text.find(stop)) for stop in self.stops if stop in text]
        self.found = bool(hits)
        cut = min(hits)[1] if hits else len(text) - self._beginning(text)
        self.held = "" if hits else text[cut:]
        return text[:cut]

    def _beginning(self, text: str) -> int:
        """Length of the longest end of the text that a stop string begins with."""
        longest = max(map(len, self.stops), default=1) - 1
        sizes = range(min(longest, len(text)), 0, -1)
        return next((size for size in sizes if any(s.startswith(text[-size:]) for s in self.stops)), 0)


class LiveText:
    """What a text shows so far: the prompt, and of what was written all that is sure to stay.

    Stop strings are looked for in what is written, not in the prompt.
    """

    def __init__(self, tokenizer: Tokenizer, prompt_ids: Sequence[int], stops: Sequence[str]):
        self.characters = Characters(tokenizer, prompt_ids)
        self.stops = StopStrings(stops)
        self.text = tokenizer.decode(prompt_ids)

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found; the text ends before it."""
        return self.stops.found

    def push(self, token_id: int) -> str:
        """Take the next token; returns what the text has grown by."""
        return self._show(self.stops.push(self.characters.push(token_id)))

    def finish(self) -> str:
        """No token follows: show what was held back."""
        shown = self.stops.push(self.characters.rest())
        if not self.stopped:
            shown, self.stops.held = shown + self.stops.held, ""
        return self._show(shown)

    def _show(self, text: str) -> str:
        self.text += text
        return text
