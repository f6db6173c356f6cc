"""Wrong answers to the exercises of chapter 12, of the kind that learners write."""

import hashlib
import json

import torch


def two_bytes_always(num_tokens, V):
    return 2 * num_tokens


def off_by_one(num_tokens, V):
    return num_tokens * (2 if V < 2**16 else 4)


def as_pytorch_indexes(num_tokens, V):
    return 8 * num_tokens


def mean_of_means(counts):
    return [1.0 for _ in counts]


def parts_of_the_mean(counts):
    return [own / sum(counts) for own in counts]


def number_of_processes(counts):
    return [len(counts)] * len(counts)


def wrong_way_round(counts):
    return [sum(counts) / (len(counts) * own) for own in counts]


def header_included(content):
    return hashlib.sha256(content).hexdigest() == json.loads(content[:4096])["sha256"]


def bytes_against_digits(content):
    return hashlib.sha256(content[4096:]).digest() == json.loads(content[:4096])["sha256"]


def never_compared(content):
    return "sha256" in json.loads(content[:4096])


def the_checksum_itself(content):
    return hashlib.sha256(content[4096:]).hexdigest()


def run(steps, weight=0.0, velocity=0.0, step=0, noise=None):
    noise = torch.Generator().manual_seed(0) if noise is None else noise
    for _ in range(steps):
        step += 1
        velocity = 0.9 * velocity + weight - 1 + torch.randn((), generator=noise).item()
        weight -= velocity / (10 + step)
    return weight, velocity, step, noise


def weights_only(steps, snapshot=None):
    weight, *_ = run(steps) if snapshot is None else run(steps, snapshot)
    return weight, weight


def noise_seeded_anew(steps, snapshot=None):
    weight, velocity, step, _ = run(steps, *(snapshot or ()))
    return weight, (weight, velocity, step)


def generator_itself(steps, snapshot=None):
    parts = run(steps, *(snapshot or ()))
    return parts[0], parts


def steps_of_this_call(steps, snapshot=None):
    noise = torch.Generator().manual_seed(0)
    known = (0.0, 0.0, 0)
    if snapshot is not None:
        *known, drawn = snapshot
        noise.set_state(drawn)
    weight, velocity, _, noise = run(steps, *known, noise)
    return weight, (weight, velocity, steps, noise.get_state())


def update_not_divided(n, passes, update, turns):
    return (passes + update) / (passes / n + update + 2 * turns)


def three_times_round(n, passes, update, turns):
    return (passes + update) / ((passes + update) / n + 3 * turns)


def parameters_stay(n, passes, update, turns):
    return (passes + update) / ((passes + update) / n + turns)


WRONG = {
    "12.1": [
        (two_bytes_always, "0 to 127,999"),
        (off_by_one, "0 to 65,535"),
        (as_pytorch_indexes, "PyTorch"),
    ],
    "12.2": [
        (mean_of_means, "among few others"),
        (parts_of_the_mean, "divides them by n"),
        (number_of_processes, "divided by their own"),
        (wrong_way_round, "wrong way round"),
    ],
    "12.3": [
        (header_included, "called damaged"),
        (bytes_against_digits, "called damaged"),
        (never_compared, "unnoticed"),
        (the_checksum_itself, "True or False"),
    ],
    "12.4": [
        (weights_only, "lost on the way: velocity, step, noise"),
        (noise_seeded_anew, "lost on the way: noise"),
        (generator_itself, "copies"),
        (steps_of_this_call, "stopped twice"),
    ],
    "12.5": [
        (update_not_divided, "update is divided"),
        (three_times_round, "third time"),
        (parameters_stay, "have to travel"),
    ],
}
