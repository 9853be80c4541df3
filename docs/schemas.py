"""Write docs/schemas/*.json from the response models of the API: make schemas."""

from __future__ import annotations

import json
import sys
from pathlib import Path

FOLDER = Path(__file__).with_suffix("")
sys.path.insert(0, str(FOLDER.parents[1]))

from risk import store  # noqa: E402
from web import schemas  # noqa: E402


def files() -> dict[str, str]:
    """Return the content of each file by its name."""
    return {
        f"{name}.json": json.dumps(schemas.schema(name), indent=2) + "\n" for name in schemas.MODELS
    }


if __name__ == "__main__":
    for name, content in files().items():
        store.write(FOLDER / name, content.encode())
