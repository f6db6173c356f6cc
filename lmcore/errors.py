"""The exceptions that mean "your input is wrong" or "this run has failed", not "the program is wrong"."""


class InputError(ValueError):
    """Bad input from a caller or a reader; the message names the value and the limit.

    The command line prints it as one line and exits with status 2.
    """


class TrainingError(RuntimeError):
    """A run that cannot go on: the loss is not a number, or memory ran out; the message says what to change.

    The command line prints it as one line and exits with status 1.
    """
