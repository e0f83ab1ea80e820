"""The specification's "Hooks / plugins", as written; the comments say which outcome the text states."""

from __future__ import annotations

import logging

import pytest

from memorygraph import AgentMemory


def test_hooks_and_plugins(caplog: pytest.LogCaptureFixture) -> None:
    mem = AgentMemory()
    log = logging.getLogger("test_hooks")

    @mem.hooks.on("remember")
    def audit(event):  # type: ignore[no-untyped-def] # as the text has it
        log.info("new memory: %s", event["node"].content)

    from memorygraph.hooks import CounterPlugin

    counter = CounterPlugin().attach(mem.hooks)  # telemetry

    with caplog.at_level(logging.INFO):
        mem.remember("Leyla lives in Istanbul")
    mem.recall("Leyla")
    assert "new memory: Leyla lives in Istanbul" in caplog.text
    assert counter.counts == {"remember": 1, "recall": 1}
