"""The options of reading a corpus from a source."""

from dataclasses import dataclass

from lmcore.errors import InputError

DEFAULT_FIELD = "text"


@dataclass(frozen=True)
class Reading:
    """How text is read from a source; None and False go with every source.

    Raises InputError for a value that no source could take.
    """

    field: str | None = None  # of JSON lines and datasets, may be "outer.inner"; None: "text"
    skip_bad: bool = False  # of the same: leave out what holds no text instead of refusing it
    split: str | None = None  # of a dataset; None: "train"
    max_documents: int | None = None  # of a dataset: only the first so many
    sha256: str | None = None  # of an https address, which needs it
    max_bytes: int = 16_000_000_000  # of one file that is fetched, unpacked or written

    def __post_init__(self):
        if self.field == "":
            raise InputError("--field is empty; it must name what holds the text")
        if self.max_documents is not None and self.max_documents < 1:
            raise InputError(f"--max-documents is {self.max_documents}; it must be at least 1")
        if self.max_bytes < 1:
            raise InputError(f"--max-gb comes to {self.max_bytes} bytes; it must be at least 1")

    @property
    def field_name(self) -> str:
        return self.field or DEFAULT_FIELD
