"""Chapter 23, scale and cost."""

from collections.abc import Callable, Sequence
from math import isclose

from lmcore_exercises.checking import NotYet, exercise, expect, expect_close, result, same


@exercise("23.1")
def cost_per_million(answer: Callable[[float, float, float], Sequence[float]]) -> None:
    """Seconds, watt-hours and price at 500 tokens per second, 90 watts and 0.2 per hour; and elsewhere."""
    got = result(answer, 500.0, 90.0, 0.2)
    if same(got, [0.002, 90 * 0.002 / 3600, 0.2 * 0.002 / 3600], 1e-12):
        raise NotYet("that is one token. Asked is a million of them.")
    seconds, watt_hours, price = _three(got)
    expect(not same(seconds, 500e6), "divide by the speed: more tokens per second are fewer seconds.")
    expect(not same(seconds, 1e6 / 500 / 3600), "the first number is in seconds, and those are hours.")
    expect_close(seconds, 2000.0, "a million tokens at 500 per second take 2,000 seconds.")
    expect(
        not same(watt_hours, 90 * 2000),
        "those are watt-seconds. A watt-hour is one watt for a whole hour.",
    )
    expect(not same(watt_hours, 0.05), "those are kilowatt-hours, a thousand watt-hours each.")
    expect(not same(watt_hours, 90 * 2000 / 60), "an hour has 60 times 60 seconds: that is per minute.")
    expect_close(watt_hours, 50.0, "90 watts for 2,000 seconds are 50 watt-hours.")
    expect(not same(price, 0.2 * 2000), "the price is that of an hour, and it is paid here for every second.")
    expect(not same(price, 0.2 * 50), "the price is that of an hour of the machine, not of a watt-hour.")
    expect_close(price, 0.2 * 2000 / 3600, "2,000 seconds of an hour at 0.2.")
    wanted = [250.0, 250 * 36 / 3600, 250 * 7.2 / 3600]
    expect_close(result(answer, 4000, 36, 7.2), wanted, "it is right for one machine and not for another.")


def _three(got: Sequence[float]) -> Sequence[float]:
    try:
        seconds, watt_hours, price = got
    except (TypeError, ValueError):
        raise NotYet("three numbers are asked for: seconds, watt-hours, price.") from None
    return seconds, watt_hours, price


@exercise("23.2")
def training_flops(answer: Callable[[int, int, int, int], float]) -> None:
    """Operations of two small models, chosen so that every slip shows."""
    for V, D, L, tokens in ((100, 8, 2, 10), (50, 4, 1, 7)):
        got = result(answer, V, D, L, tokens)
        layers, output = L * 2 * D * D, D * V
        mistakes = {
            "the embedding is counted as well. Its rows are looked up, not multiplied.": 6
            * (layers + 2 * output),
            "that is the way forward only. Back there are two products of the same size.": 2
            * (layers + output),
            "that is one product on the way back. There are two: by the input and by the weights.": 4
            * (layers + output),
            "a multiplication with its addition counts as two operations.": 3 * (layers + output),
            "the output layer is missing, and it is the largest product of all.": 6 * layers,
            "the layers are missing.": 6 * output,
            "a layer has two matrices: one for its input, one for its state.": 6 * (layers // 2 + output),
        }
        expect(not same(got, 6 * (layers + output)) or tokens == 1, "that is one token. There are many.")
        for message, value in mistakes.items():
            expect(not same(got, value * tokens), message)
        right = 6 * (layers + output) * tokens
        expect(same(got, right), f"for V = {V}, D = {D}, L = {L} and {tokens} tokens it is not {got}.")


@exercise("23.3")
def doubling_time(answer: Callable[[Sequence[float], Sequence[float]], float]) -> None:
    """First points on an exact line, then points around one."""
    got = result(answer, [0, 3, 6], [5, 10, 20])  # doubles every 3 years
    mistakes = {
        "that is the number of doublings in a year. Asked is how long one takes.": 1 / 3,
        "that is how long it takes to grow by the factor e. Use logarithms to the base 2.": 3 / 0.6931472,
        "that is how long it takes to grow by the factor 10. Use logarithms to the base 2.": 3 / 0.3010300,
        "the line is to go through the logarithms of the sizes, not through the sizes.": 1 / 2.5,
    }
    for message, value in mistakes.items():
        expect(not same(got, value), message)
    expect_close(got, 3.0, "sizes of 5, 10 and 20 in the years 0, 3 and 6 double every 3 years.")
    got = result(answer, [2000, 2002, 2004, 2008], [1, 8, 16, 256])
    expect(not same(got, 1.0), "first and last point alone decide here. Fit the line to all of them.")
    expect_close(got, 35 / 33.5, "a line through all points, with the least squares of the errors.")


@exercise("23.4")
def best_split(answer: Callable[[float, float], Sequence[float]]) -> None:
    """Parameters and tokens for small round budgets."""
    for flops, ratio, N in ((2400.0, 4.0, 10.0), (6e6, 25.0, 200.0)):
        got = result(answer, flops, ratio)
        try:
            parameters, tokens = (float(value) for value in got)
        except (TypeError, ValueError):
            raise NotYet("two numbers are asked for: parameters and tokens.") from None
        if same([parameters, tokens], [ratio * N, N]):
            raise NotYet("the numbers are right and stand in the wrong order: parameters come first.")
        expect(
            not same(parameters, (flops / ratio) ** 0.5),
            "six operations per parameter and token: the 6 is missing.",
        )
        expect(
            not same(parameters, flops / (6 * ratio)),
            "the parameters come in twice, once by themselves and once in the tokens: take a square root.",
        )
        spent = 6 * parameters * tokens
        expect(
            isclose(spent, flops, rel_tol=1e-3),
            f"6 N D with your numbers is {spent:g}, and there are {flops:g} operations to spend.",
        )
        expect_close(tokens / parameters, ratio, f"there should be {ratio:g} tokens per parameter.")
        expect_close(parameters, N, f"for {flops:g} operations and ratio {ratio:g} it is not {parameters:g}.")
