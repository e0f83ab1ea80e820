"""``RayTransport``: calls to the actors of a fleet on a Ray cluster, from a driver, a task, an actor or Ray Client."""

from __future__ import annotations

from typing import Any

from memorygraph.events.errors import TimedOut, Unreachable


def load_ray() -> Any:
    """Return Ray.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise ImportError("a fleet runs on Ray, which is not installed: pip install 'memorygraph[ray]'") from error
    return ray


class RayTransport:
    """The actors of a namespace, by name; what Ray itself raises never reaches a caller.

    Ray repeats nothing (``max_task_retries=0``): who calls repeats under its own deadline, and under a command id.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._actors: dict[str, Any] = {}

    def call(self, address: str, lane: str, payload: bytes, deadline_s: float) -> bytes:
        """Return the answer of the actor of a name."""
        ray = load_ray()
        if not ray.is_initialized():  # else Ray would start a cluster of its own
            raise Unreachable("this process belongs to no Ray cluster, or not any more", address=address)
        try:
            actor = self._actors.get(address)
            if actor is None:
                actor = self._actors[address] = ray.get_actor(address, namespace=self.namespace)
            answer = actor.handle.options(concurrency_group=lane).remote(payload)
            reply: bytes = ray.get(answer, timeout=deadline_s)
        except ray.exceptions.GetTimeoutError:
            raise TimedOut(f"no answer from {address!r} in {deadline_s:.3g} s", address=address) from None
        except (ray.exceptions.RayError, ValueError) as error:  # ValueError: there is no actor of that name
            self._actors.pop(address, None)
            kind = type(error).__name__
            raise Unreachable(f"nobody answers at {address!r} ({kind})", address=address, error=kind) from None
        return reply

    def __reduce__(self) -> tuple[Any, ...]:
        return RayTransport, (self.namespace,)
