"""The same pass on several processes, GPUs or machines, through Ray.

Every worker holds model and SAE, reads the whole corpus (reading is cheap beside running it) and runs its share of the
batches: worker i of n takes those with number i modulo n. Contexts keep their numbers, so what the workers collected
puts together to the result of one local pass. A worker that dies is started again by Ray and repeats its share.
"""

import socket

import torch

from mistudio.errors import MistudioError
from mistudio.extract.collected import Collected
from mistudio.extract.config import ExtractConfig
from mistudio.extract.passes import Progress, collect_batch, load_both, read_contexts


def collect_with_ray(config: ExtractConfig, d_sae: int, say: Progress) -> Collected:
    """Run the pass on a Ray cluster.

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
    task = ray.remote(max_retries=3, **needs)(_share)
    waiting = [task.remote(config, worker, count) for worker in range(count)]
    whole = Collected(config, d_sae, "cpu")
    try:
        while waiting:
            ended, waiting = ray.wait(waiting)
            part = Collected(config, d_sae, "cpu")
            part.restore(ray.get(ended[0]))
            whole.absorb(part)
            say("Running model and SAE", 0.02 + 0.94 * (count - len(waiting)) / count,
                f"{count - len(waiting)} of {count} workers are done, {whole.statistics.tokens:,} tokens")
    except RayTaskError as error:
        if isinstance(error.cause, MistudioError):
            raise error.cause from error
        raise MistudioError(f"A Ray worker failed: {error.cause!r}", "Ray's own log has the details.") from error
    except RayError as error:
        raise MistudioError(f"Ray failed: {str(error).splitlines()[0]}",
                            "Check that the cluster runs, then start the extraction again.") from error
    return whole


def _share(config: ExtractConfig, worker: int, workers: int) -> dict:
    """In a worker: run its batches; returns what it collected, on the CPU."""
    loaded, sae, config = load_both(config)
    collected = Collected(config, sae.d_sae, loaded.device)
    first = 0
    with torch.inference_mode():
        for number, batch in enumerate(read_contexts(config, loaded)):
            if number % workers == worker:
                collect_batch(config, loaded, sae, collected, batch, first)
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
    except (OSError, ValueError, RuntimeError) as error:
        raise MistudioError(f"The Ray cluster at {config.address} cannot be reached: {error}",
                            "Start one with: ray start --head") from error
