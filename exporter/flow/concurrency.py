"""A semaphore whose slots are divided fairly, so that no user can take all of them."""

from __future__ import annotations

import asyncio


class FairSemaphore:
    """At most ``total`` at a time over all shares; of one event loop."""

    def __init__(self, total: int) -> None:
        if total < 1:
            raise ValueError(f"expected at least 1 slot, got {total}")
        self.total = total
        self.common = asyncio.Semaphore(total)

    def share(self, among: int) -> FairShare:
        """Return the share of one of ``among``: an equal part of the slots, at least one.

        As long as there are no more shares than slots, one that is held up for ever leaves the
        others what they need.
        """
        return FairShare(asyncio.Semaphore(max(1, self.total // max(1, among))), self.common)


class FairShare:
    """One share's slots; ``async with`` takes one of them."""

    def __init__(self, own: asyncio.Semaphore, common: asyncio.Semaphore) -> None:
        self._own, self._common = own, common

    async def __aenter__(self) -> None:
        # Its own first: whoever waits for that holds nothing that others need.
        await self._own.acquire()
        try:
            await self._common.acquire()
        except BaseException:
            self._own.release()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._common.release()
        self._own.release()
