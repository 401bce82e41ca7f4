"""Bench: which detector reads which export as it was written. ``python -m tests.bench.encodings``.

Counted are texts that come out letter for letter, not names of encodings.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from etl.extract.delimited.encoding import detect
from tests.support.encoding_pairs import PAIRS, SIZES, export

Detector = Callable[[bytes], str | None]


def ours(data: bytes) -> str:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return detect(Path(file.name)).codec


def detectors() -> dict[str, Detector]:
    """Return what is installed here."""
    found: dict[str, Detector] = {"klaviyo-etl": ours}
    for name in ("chardet", "charset_normalizer", "cchardet"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        found[name] = _named_by(module.detect)
    return found


def _named_by(detect: Callable[[bytes], Mapping[str, str | None]]) -> Detector:
    return lambda data: detect(data)["encoding"]


def right(detector: Detector, text: str, codec: str) -> bool:
    try:
        return text.encode(codec).decode(detector(text.encode(codec)) or "ascii", "replace") == text
    except LookupError:
        return False


def main() -> None:
    print(f"{'of ' + str(len(PAIRS)):20}" + "".join(f"{size:>8}" for size in SIZES))
    for name, detector in detectors().items():
        counts = [sum(right(detector, export(language, size), codec) for language, codec in PAIRS) for size in SIZES]
        print(f"{name:20}" + "".join(f"{count:8}" for count in counts))


if __name__ == "__main__":
    main()
