"""The exceptions that mean "your input is wrong" or "this run has failed", not "the program is wrong"."""


class InputError(ValueError):
    """Bad input from a caller or a reader; the message names the value and the limit.

    The command line prints it as one line and exits with status 2. Line ends and control characters, which a
    damaged file may bring into a message, are shown as escapes: no file writes to somebody's terminal.
    """

    def __init__(self, message: str):
        shown = (c if c.isprintable() else ascii(c)[1:-1] for c in message)
        super().__init__("".join(shown))


class TrainingError(RuntimeError):
    """A run that cannot go on: the loss is not a number, or memory ran out; the message says what to change.

    The command line prints it as one line and exits with status 1.
    """


class DivergedError(TrainingError):
    """The loss or the weights are no longer numbers."""


class SaveError(TrainingError):
    """What was trained cannot be written. It is still in memory: make room, then call `Trainer.fit` again."""

    ADVICE = "make room and run the same command again (in a notebook: call fit again, nothing is lost)"
