"""What the checks of all chapters share: how an answer is examined, and how the result is told."""

import functools
from collections.abc import Callable
from typing import Any

import torch


class NotYet(Exception):
    """The answer is not right; the message points at the mistake without giving the solution away."""


def exercise(number: str) -> Callable[[Callable], Callable]:
    """Make a check of a function that raises NotYet: the check prints what was found and returns nothing.

    An error inside of the answer itself is not caught: its traceback says more than we could. Tests call
    ``check.__wrapped__`` to see the NotYet itself.
    """

    def make(examine: Callable) -> Callable:
        @functools.wraps(examine)
        def check(answer: Any) -> None:
            try:
                examine(answer)
            except NotYet as found:
                print(f"{number} not yet: {found}")
            else:
                print(f"{number} right.")

        check.number = number
        return check

    return make


def result(function: Callable, *arguments: Any, **options: Any) -> Any:
    """What the reader's function returns; NotYet if that is None, as in a body that is still empty."""
    value = function(*arguments, **options)
    if value is None:
        raise NotYet(f"{function.__name__} returns None. Write its body, and end it with return.")
    return value


def expect(condition: Any, message: str) -> None:
    """NotYet with this message unless the condition holds."""
    if not condition:
        raise NotYet(message)


def expect_close(actual: Any, wanted: Any, message: str, tolerance: float = 1e-4) -> None:
    """NotYet unless numbers (a number, a list, a tensor) have the wanted shape and are the wanted ones."""
    got, right = _numbers(actual), _numbers(wanted)
    if got.shape != right.shape:
        raise NotYet(f"the shape is {tuple(got.shape)}, it should be {tuple(right.shape)}.")
    if not torch.allclose(got, right, rtol=tolerance, atol=tolerance, equal_nan=False):
        raise NotYet(message)


def same(actual: Any, wanted: Any, tolerance: float = 1e-4) -> bool:
    """Whether numbers equal known ones; to recognise a mistake by the value that it leads to."""
    got, other = _numbers(actual), _numbers(wanted)
    return got.shape == other.shape and torch.allclose(got, other, rtol=tolerance, atol=tolerance)


def _numbers(value: Any) -> torch.Tensor:
    try:
        return torch.as_tensor(value, dtype=torch.float64).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise NotYet(f"numbers were expected, and the answer is {value!r}.") from error
