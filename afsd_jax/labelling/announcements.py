"""What is told to all open pages: server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

_MOST_WAITING = 1000  # events; a page that reads none is told to load again
_ALIVE_S = 15.0


class Announcements:
    """Sends events to all listeners; `announce` may be called by threads."""

    def __init__(self) -> None:
        """Has no listeners."""
        self._queues: set[asyncio.Queue[bytes | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> None:
        """Takes the running event loop as that of the listeners."""
        self._loop = asyncio.get_running_loop()

    def announce(self, kind: str, **fields: Any) -> None:
        """Sends an event with these JSON values; before `begin` there is nobody to send it to."""
        content = b"data: " + msgspec.json.encode({"kind": kind, **fields}) + b"\n\n"
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._put, content)

    def end(self) -> None:
        """Ends the streams of all listeners."""
        self._put(None)

    def _put(self, content: bytes | None) -> None:
        for queue in list(self._queues):
            if queue.full():
                self._queues.discard(queue)
                queue.get_nowait()
                content = None
            queue.put_nowait(content)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yields the events from now on, as an event stream."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_MOST_WAITING)
        self._queues.add(queue)
        try:
            yield b": listening\n\n"
            while True:
                try:
                    content = await asyncio.wait_for(queue.get(), _ALIVE_S)
                except TimeoutError:
                    content = b": alive\n\n"
                if content is None:
                    return
                yield content
        finally:
            self._queues.discard(queue)
