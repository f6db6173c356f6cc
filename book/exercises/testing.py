"""The labs: the reader writes a test; the check tries it on programs that are right and on broken ones."""

from collections.abc import Callable, Sequence

from lmcore_exercises.checking import NotYet


def examine_test(test: Callable, right: Sequence[Callable], broken: dict[str, Callable]) -> None:
    """NotYet unless the test passes for every right program and fails for every broken one.

    The keys of ``broken`` say what it means that the test lets this program pass. The first is the program of
    the lab; the others have mistakes that look alike. A right program differs from the reader's in form only.
    """
    for clue, program in list(broken.items())[:1]:
        if failure(test, program) is None:
            raise NotYet(clue)
    for program in right:
        found = failure(test, program)
        if found is not None:
            raise NotYet(f"the test fails for a program that is right ({program.__doc__}): {found}")
    for clue, program in list(broken.items())[1:]:
        if failure(test, program) is None:
            raise NotYet(clue)


def failure(test: Callable, program: Callable) -> str | None:
    """What a test says against a program, in one line; None if it passes."""
    try:
        test(program)
    except Exception as error:  # as for pytest: a test that stops with any error has failed
        lines = str(error).strip().splitlines()
        return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return None
