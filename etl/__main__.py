"""``python -m etl``: the command line."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts the current folder first: a file there named like a library would run in its place.
    here = not sys.flags.safe_path and bool(sys.path) and Path(sys.path[0] or ".").resolve() == Path.cwd().resolve()
    if here and Path.cwd().resolve() not in Path(__file__).resolve().parents:
        del sys.path[0]

    from etl.cli import main

    main()
