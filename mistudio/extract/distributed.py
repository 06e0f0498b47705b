"""The same pass on several processes, GPUs or machines, through Ray.

Every worker holds model and SAE, reads the whole corpus (reading is cheap beside running it) and runs its share of the
batches: worker i of n takes those with number i modulo n. Contexts keep their numbers, so what the workers collected
puts together to the result of one local pass. A worker that dies is started again by Ray and repeats its share.
"""

import socket
from functools import lru_cache

import torch

from mistudio.errors import MistudioError
from mistudio.extract.collected import Collected
from mistudio.extract.config import ExtractConfig
from mistudio.extract.passes import Progress, collect_batch, load_both, read_contexts
from mistudio.extract.ranges import FeatureRange

TELL_EVERY = 1.0  # seconds between looks at how far the workers are


class _Tally:
    """A Ray actor: tokens that each worker has run. One that begins again counts from nothing."""

    def __init__(self):
        self.tokens: dict[int, int] = {}

    def tell(self, worker: int, tokens: int) -> None:
        self.tokens[worker] = tokens

    def total(self) -> int:
        return sum(self.tokens.values())


def collect_with_ray(config: ExtractConfig, features: FeatureRange, say: Progress) -> Collected:
    """Run the pass for a range of features on a Ray cluster.

    Args:
        config: complete (hook point and context length set); ``address`` names the cluster (None: this machine),
            ``workers`` how many processes take part (None: one a GPU, or else one a machine).

    Raises:
        MistudioError: Ray is not installed, the cluster cannot be reached, or a worker failed for good.
    """
    ray = _ray()
    _connect(ray, config)
    from ray.exceptions import RayError, RayTaskError

    gpus = int(ray.cluster_resources().get("GPU", 0))
    count = config.workers or gpus or len(ray.nodes())
    say("Running model and SAE", 0.02, f"on {count} workers")
    needs = {"num_gpus": 1} if gpus else {"num_cpus": 1}
    tally = ray.remote(num_cpus=0)(_Tally).remote()
    task = ray.remote(max_retries=3, **needs)(_share)
    waiting = [task.remote(config, features.first, features.last, worker, count, tally) for worker in range(count)]
    whole = Collected(config, len(features), "cpu", features.first)
    try:
        while waiting:
            ended, waiting = ray.wait(waiting, timeout=TELL_EVERY)
            for result in ended:
                part = Collected(config, len(features), "cpu", features.first)
                part.restore(ray.get(result))
                whole.absorb(part)
            tokens = ray.get(tally.total.remote())
            say("Running model and SAE", 0.02 + 0.94 * min(tokens / config.tokens, 1.0),
                f"{tokens:,} of {config.tokens:,} tokens; {count - len(waiting)} of {count} workers are done")
    except RayTaskError as error:
        if isinstance(error.cause, MistudioError):
            raise error.cause from error
        raise MistudioError(f"A Ray worker failed: {error.cause!r}", "Ray's own log has the details.") from error
    except RayError as error:
        raise MistudioError(f"Ray failed: {str(error).splitlines()[0]}",
                            "Check that the cluster runs, then start the extraction again.") from error
    finally:
        for share in waiting:
            ray.cancel(share, force=True)
        ray.kill(tally)
    return whole


@lru_cache(maxsize=1)
def _loaded(config: ExtractConfig) -> tuple:
    """Model, SAE and completed config, kept in a worker for the next range of features; and what is known of TopK's
    cutoffs."""
    return *load_both(config), {}


def _share(config: ExtractConfig, start: int, stop: int, worker: int, workers: int, tally) -> dict:
    """In a worker: run its batches; returns what it collected of features ``start`` to ``stop``, on the CPU."""
    loaded, sae, config, cutoffs = _loaded(config)
    features = FeatureRange(sae, start, stop, cutoffs)
    collected = Collected(config, len(features), loaded.device, start)
    first = 0
    with torch.inference_mode():
        for number, batch in enumerate(read_contexts(config, loaded)):
            if number % workers == worker:
                collect_batch(config, loaded, features, collected, batch, first)
                tally.tell.remote(worker, collected.statistics.tokens)
            first += len(batch.tokens)
    return collected.state()


def _ray():
    try:
        import ray
    except ImportError as error:
        raise MistudioError("Ray is not installed.",
                            "Run: pip install -r requirements-ray.txt (or use --engine local).") from error
    return ray


def _connect(ray, config: ExtractConfig) -> None:
    if ray.is_initialized():
        return
    try:
        host, _colon, port = (config.address or "").removeprefix("ray://").rpartition(":")
        if host:
            # Ray itself tries for minutes.
            socket.create_connection((host, int(port)), timeout=5).close()
        ray.init(address=config.address, log_to_driver=False, configure_logging=False)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise MistudioError(f"The Ray cluster at {config.address} cannot be reached: {error}",
                            "Start one with: ray start --head. If it has a token, set RAY_AUTH_MODE=token here too "
                            "(docs/hosting/ray.md).") from error
