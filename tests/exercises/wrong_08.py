"""Wrong answers to the exercises of chapter 8, of the kind that learners write."""

import math


def no_warm_up(progress, peak, warmup, floor):
    return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2)


def too_slow_a_rise(progress, peak, warmup, floor):
    if progress < warmup:
        return peak * progress
    done = (progress - warmup) / (1 - warmup)
    return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2)


def cosine_from_the_start_of_the_run(progress, peak, warmup, floor):
    if progress < warmup:
        return peak * progress / warmup
    return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2)


def whole_cosine(progress, peak, warmup, floor):
    if progress < warmup:
        return peak * progress / warmup
    done = (progress - warmup) / (1 - warmup)
    return peak * (floor + (1 - floor) * (1 + math.cos(2 * math.pi * done)) / 2)


def not_below_the_floor(progress, peak, warmup, floor):
    if progress < warmup:
        return peak * progress / warmup
    done = (progress - warmup) / (1 - warmup)
    return peak * max(floor, (1 + math.cos(math.pi * done)) / 2)


def loop(read, optimizer, batches, forget=True, detach=True, carry=None, item=True, divide=True):
    losses, state = [], None
    for batch in batches:
        state = state if (batch.carries_state if carry is None else carry) else None
        nats, count, state = read(batch.inputs, batch.targets, state)
        if forget:
            optimizer.zero_grad()
        loss = nats / count if divide else nats
        loss.backward()
        optimizer.step()
        if detach:
            state = [h.detach() for h in state]
        losses.append(loss.item() if item else loss)
    return losses


def old_gradients_added(read, optimizer, batches):
    return loop(read, optimizer, batches, forget=False)


def past_carried_along(read, optimizer, batches):
    return loop(read, optimizer, batches, detach=False)


def always_reset(read, optimizer, batches):
    return loop(read, optimizer, batches, carry=False)


def never_reset(read, optimizer, batches):
    return loop(read, optimizer, batches, carry=True)


def item_forgotten(read, optimizer, batches):
    return loop(read, optimizer, batches, item=False)


def sums(read, optimizer, batches):
    return loop(read, optimizer, batches, divide=False)


def forgotten_before_the_step(read, optimizer, batches):
    losses, state = [], None
    for batch in batches:
        nats, count, state = read(batch.inputs, batch.targets, state if batch.carries_state else None)
        (nats / count).backward()
        optimizer.zero_grad()
        optimizer.step()
        state = [h.detach() for h in state]
        losses.append(nats.item() / count)
    return losses


def same_weight_for_all(bias, counts):
    return (bias.logsumexp(dim=0) - bias).mean()


def no_softmax(bias, counts):
    return -(counts * bias).sum() / counts.sum()


def summed(bias, counts):
    return (counts * (bias.logsumexp(dim=0) - bias)).sum()


def weighted_by_the_model(bias, counts):
    p = bias.softmax(dim=0)
    return -(p * p.log()).sum()


def largest_range(a, b):
    return max(max(a) - min(a), max(b) - min(b))


def with_a_sign(a, b):
    return (sum(b) / len(b) - sum(a) / len(a)) / largest_range(a, b)


def best_runs(a, b):
    return abs(min(a) - min(b)) / largest_range(a, b)


def first_seeds(a, b):
    return abs(a[0] - b[0]) / largest_range(a, b)


def one_range_for_all(a, b):
    return abs(sum(a) / len(a) - sum(b) / len(b)) / (max(a + b) - min(a + b))


def learn(read, optimizer, batch, limit, at_most, first=0, never=math.inf, per_token=True, forget=True):
    for step in range(first, first + at_most + 1):
        nats, count, _ = read(batch.inputs, batch.targets, None)
        if nats.item() / (count if per_token else 1) < limit:
            return step
        if forget:
            optimizer.zero_grad()
        (nats / count).backward()
        optimizer.step()
    return never


def counts_the_next_step(read, optimizer, batch, limit, at_most):
    return learn(read, optimizer, batch, limit, at_most, first=1)


def always_a_success(read, optimizer, batch, limit, at_most):
    return learn(read, optimizer, batch, limit, at_most, never=at_most)


def whole_batch(read, optimizer, batch, limit, at_most):
    return learn(read, optimizer, batch, limit, at_most, per_token=False)


def old_gradients_take_part(read, optimizer, batch, limit, at_most):
    return learn(read, optimizer, batch, limit, at_most, forget=False)


def last_loss_not_read(read, optimizer, batch, limit, at_most):
    return learn(read, optimizer, batch, limit, at_most - 1)


def state_kept(read, optimizer, batch, limit, at_most):
    state = None
    for step in range(at_most + 1):
        nats, count, state = read(batch.inputs, batch.targets, state)
        if nats.item() / count < limit:
            return step
        optimizer.zero_grad()
        (nats / count).backward()
        optimizer.step()
        state = [h.detach() for h in state]
    return math.inf


WRONG = {
    "8.1": [
        (no_warm_up, "no warm-up"),
        (too_slow_a_rise, "too slow"),
        (cosine_from_the_start_of_the_run, "begins where the warm-up ends"),
        (whole_cosine, "down and up again"),
        (not_below_the_floor, "runs on to zero"),
    ],
    "8.2": [
        (old_gradients_added, "added up"),
        (past_carried_along, "together with its past"),
        (always_reset, "goes on with the text before"),
        (never_reset, "new text"),
        (item_forgotten, "keeps its graph"),
        (sums, "so is what the step is on"),
        (forgotten_before_the_step, "has not moved"),
    ],
    "8.3": [
        (same_weight_for_all, "same weight"),
        (no_softmax, "on the way to a probability"),
        (summed, "whole text"),
        (weighted_by_the_model, "not for the model"),
    ],
    "8.4": [
        (with_a_sign, "sign"),
        (best_runs, "luck"),
        (first_seeds, "first seed"),
        (one_range_for_all, "holds the difference itself"),
    ],
    "8.5": [
        (counts_the_next_step, "would come next"),
        (always_a_success, "nothing is learned"),
        (whole_batch, "loss per token"),
        (old_gradients_take_part, "old gradients"),
        (last_loss_not_read, "not looked at"),
        (state_kept, "from its beginning"),
    ],
}
