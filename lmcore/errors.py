"""The one exception that means "your input is wrong", as opposed to "the program is wrong"."""


class InputError(ValueError):
    """Bad input from a caller or a reader; the message names the value and the limit.

    The command line prints it as one line and exits with status 2.
    """
