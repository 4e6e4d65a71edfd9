"""Writes the card that goes beside a model: the facts the program reads and checks before it trusts the file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

SCHEMA = 1


def write_card(model: Path, facts: dict[str, Any]) -> Path:
    """Write `<model stem>.card.json` beside `model` with its name, size in bytes and sha256 filled in."""
    content = model.read_bytes()
    card = {
        "schema": SCHEMA,
        "file": model.name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        **facts,
    }
    path = model.with_suffix(".card.json")
    path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
