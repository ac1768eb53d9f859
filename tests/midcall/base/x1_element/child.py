"""An element to be killed: ``python -m tests.midcall.base.x1_element.child FOLDER PKI``. Says its port."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.midcall.base.x1_element.lab import Place


async def serve(folder: Path, files: Path) -> None:
    service = Place(folder, files).service()
    _, port = await service.start()
    os.write(1, f"{port}\n".encode())
    await service.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
