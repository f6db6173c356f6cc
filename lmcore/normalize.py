"""What a tokenizer reads in place of a text: numbers as one word, for those who ask for it.

And what it cannot read at all.
"""

import tokenizers
from tokenizers import normalizers

from lmcore.errors import InputError

DIGITS = r"\d+"  # "3.14" holds two numbers


def number_normalizer(numbers: str) -> normalizers.Normalizer:
    """Puts ``numbers``, "###" for example, in place of each run of digits."""
    return normalizers.Replace(tokenizers.Regex(DIGITS), numbers)


def replace_numbers(backend: tokenizers.Tokenizer, numbers: str | None) -> None:
    """Let a backend see ``numbers`` in place of each run of digits; None leaves it as it is.

    It is part of the tokenizer, so that training, evaluation and prompts cannot differ in it. Ids then
    decode to the text with the replacement, and `Tokenizer.token_bytes` counts the bytes of that text.
    """
    if numbers is not None:
        before = [] if backend.normalizer is None else [backend.normalizer]
        backend.normalizer = normalizers.Sequence([number_normalizer(numbers), *before])


def checked(text: str) -> str:
    """The text itself. Raises InputError for half of a surrogate pair: it is no character, and has no UTF-8.

    Python makes such halves of the bytes on a command line that are not UTF-8, and JSON can spell them.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start]
        raise InputError(
            f"the text holds {half!r} at character {error.start}: not UTF-8, or half of a surrogate pair"
        ) from None
    return text
