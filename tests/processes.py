"""Programs that tests start, and the end of them."""

import asyncio


async def ended(process: asyncio.subprocess.Process, within: float) -> None:
    """Wait until a program that was told to end has ended; where it does not in so many seconds, end it and fail."""
    try:
        async with asyncio.timeout(within):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
