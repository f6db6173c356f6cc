"""Text that appears while its tokens are drawn: whole characters only, and no beginning of a stop string.

What has been shown cannot be taken back, so everything that the next token may still change is held. Left
out: decoders that afterwards change what stands before, as WordPiece's clean-up of blanks does.
"""

import codecs
import re
from collections.abc import Sequence
from copy import copy

from lmcore.errors import InputError
from lmcore.tokenizer import Tokenizer

NO_CHARACTER = "\ufffd"  # what decoding gives for bytes that are no whole character
BYTE_TOKEN = re.compile("<0x[0-9A-F]{2}>")  # SentencePiece's spelling of a byte
KEPT = 3  # tokens whose text is decoded again with the next one


class Characters:
    """Token ids in, their text out, as soon as no later token can change it.

    A token of a byte-level tokenizer may end inside a character: its text waits for the rest, which are three
    more bytes at most. With SentencePiece's byte tokens a run of them is decoded as one: it waits for its
    end, because one wrong byte makes U+FFFD of every byte of the run; after that one nothing waits.

    All pieces together are what `Tokenizer.decode` makes of all ids together. The cost of a token does not
    grow: outside of such a run ``KEPT`` ids and the new one are decoded, and inside of it none.
    """

    def __init__(self, tokenizer: Tokenizer, prompt_ids: Sequence[int]):
        self.tokenizer = tokenizer
        self.held = list(prompt_ids)  # the last ids; some decoders look at the token before
        self.shown = len(tokenizer.decode(self.held))  # characters of their text that are out
        self.unfinished: bytes | None = b""  # end of a run of byte tokens; None after a wrong byte in it

    def push(self, token_id: int) -> str:
        """The text that has become sure."""
        byte = self._byte(token_id)
        if byte is not None:
            return self._push_byte(token_id, byte)
        self.unfinished = b""
        self.held.append(token_id)
        text = self.tokenizer.decode(self.held)
        waiting = text.endswith(NO_CHARACTER)  # it may be a character of which bytes are missing
        piece = text[self.shown : len(text) - waiting]
        # a character has four bytes at most, so the one that is not finished begins in the last three tokens
        self.held = self.held[-KEPT:]
        self.shown = len(self.tokenizer.decode(self.held)) - waiting
        return piece

    def rest(self) -> str:
        """What was held back, when no token follows; bytes without a character become U+FFFD."""
        text = self.tokenizer.decode(self.held)
        piece, self.shown = text[self.shown :], len(text)
        return piece

    def branch(self) -> "Characters":
        """One that goes on from here by itself."""
        other = copy(self)
        other.held = list(self.held)
        return other

    def _byte(self, token_id: int) -> bytes | None:
        """The byte that the token is spelled for, if the decoder reads the spelling so."""
        spelled = self.tokenizer.backend.id_to_token(token_id) or ""
        if not BYTE_TOKEN.fullmatch(spelled) or self.tokenizer.decode([token_id]) == spelled:
            return None
        return bytes([int(spelled[3:5], 16)])

    def _push_byte(self, token_id: int, byte: bytes) -> str:
        if self.unfinished is None:
            return NO_CHARACTER  # not held: the wrong byte that is held makes the run what it is
        self.held.append(token_id)
        try:
            _, length = codecs.utf_8_decode(self.unfinished + byte, "strict", False)
        except UnicodeDecodeError:
            self.unfinished = None
            return self.rest()
        self.unfinished = (self.unfinished + byte)[length:]
        return ""


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

    def branch(self) -> "LiveText":
        """One that goes on from here by itself; this one stays as it is."""
        other = copy(self)
        other.characters, other.stops = self.characters.branch(), copy(self.stops)
        return other

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
