"""The running top-k is exactly what a computation over everything at once would give."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mistudio.extract.running import Rows, RunningTop, random_keys

D_SAE, LENGTH = 5, 9


def rows_of(acts, first):
    count = len(acts)
    tokens = torch.arange(first * LENGTH, (first + count) * LENGTH, dtype=torch.int32).view(count, LENGTH)
    context = torch.arange(first, first + count)
    return Rows(tokens, acts, acts.max(1).indices, context, (context * 10)[:, None].expand(-1, LENGTH))


def naive(keys, k):
    """For each feature the contexts of its k largest keys; equal keys: the earlier context."""
    ranked = [sorted((context for context in range(len(keys)) if keys[context, feature] > -torch.inf),
                     key=lambda context: (-keys[context, feature].item(), context)) for feature in range(D_SAE)]
    return [contexts[:k] for contexts in ranked]


def running_over(keys, acts, contexts, k, window):
    """A running top-k that saw only these contexts, in their order."""
    running = RunningTop(D_SAE, k, window)
    for context in contexts:
        running.merge(keys[context:context + 1], rows_of(acts[context:context + 1], context))
    return running


SMALL_ACTIVATIONS = st.lists(st.lists(st.integers(0, 4), min_size=D_SAE * LENGTH, max_size=D_SAE * LENGTH), min_size=1,
                             max_size=14)


@settings(max_examples=100, deadline=None)
@given(data=SMALL_ACTIVATIONS, k=st.integers(1, 6), window=st.integers(1, 12), workers=st.integers(1, 4),
       stop=st.integers(0, 14))
def test_parts_put_together_equal_one_pass(data, k, window, workers, stop):
    acts = torch.tensor(data, dtype=torch.float32).view(-1, LENGTH, D_SAE)
    maximum = acts.max(1).values
    keys = maximum.masked_fill(maximum == 0, -torch.inf)
    whole = running_over(keys, acts, range(len(acts)), k, window).ordered()
    parts = [running_over(keys, acts, range(worker, len(acts), workers), k, window) for worker in range(workers)]
    together = parts[-1]
    for part in parts[:-1]:
        together.absorb(part)
    interrupted = running_over(keys, acts, range(min(stop, len(acts))), k, window)
    again = RunningTop(D_SAE, k, window)
    again.restore(interrupted.state())
    for context in range(min(stop, len(acts)), len(acts)):
        again.merge(keys[context:context + 1], rows_of(acts[context:context + 1], context))
    for other in (together.ordered(), again.ordered()):
        assert torch.equal(other["filled"], whole["filled"])
        for name in ("tokens", "acts", "peak", "context", "document"):
            assert torch.equal(other[name][whole["filled"]], whole[name][whole["filled"]])


@settings(max_examples=150, deadline=None)
@given(
    data=SMALL_ACTIVATIONS,
    k=st.integers(1, 6), window=st.integers(1, 12), cuts=st.lists(st.integers(1, 5), min_size=1, max_size=14))
def test_equals_naive_computation_with_ties_in_any_batching(data, k, window, cuts):
    acts = torch.tensor(data, dtype=torch.float32).view(-1, LENGTH, D_SAE)
    maximum = acts.max(1).values
    keys = maximum.masked_fill(maximum == 0, -torch.inf)
    running = RunningTop(D_SAE, k, window)
    start = 0
    for size in [*cuts, len(acts)]:
        end = min(start + size, len(acts))
        running.merge(keys[start:end], rows_of(acts[start:end], start))
        start = end
    found = running.ordered()
    for feature, contexts in enumerate(naive(keys, k)):
        assert found["filled"][feature].sum() == len(contexts)
        assert found["context"][feature][:len(contexts)].tolist() == contexts
        for place, context in enumerate(contexts):
            peak = found["peak"][feature, place].item()
            window_tokens = found["tokens"][feature, place]
            first = context * LENGTH
            position = window_tokens[peak].item() - first
            assert acts[context, position, feature] == maximum[context, feature]
            inside = window_tokens[window_tokens >= 0]
            assert inside.tolist() == list(range(inside[0].item(), inside[0].item() + len(inside)))
            assert len(inside) == min(window, LENGTH)
            assert found["acts"][feature, place][window_tokens >= 0].tolist() == acts[
                context, inside.long() - first, feature].tolist()
            assert found["document"][feature, place] == context * 10


@pytest.mark.parametrize("seed", [0, 5, 2**40])
def test_sample_is_the_same_in_any_batching_and_unbiased(seed):
    contexts = torch.arange(4000)
    whole = random_keys(contexts, 3, seed)
    assert torch.equal(whole[1000:1500], random_keys(contexts[1000:1500], 3, seed))
    assert not torch.equal(whole, random_keys(contexts, 3, seed + 1))
    assert abs(whole.mean() - 0.5) < 0.02
    assert abs(torch.corrcoef(whole.T)[0, 1]) < 0.05
    picked = torch.topk(whole, 400, dim=0).indices.float().mean(0)
    assert ((picked - 2000).abs() < 200).all()
