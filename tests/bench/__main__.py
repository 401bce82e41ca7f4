"""``python -m tests.bench``: how fast the importer is."""

import sys

from tests.bench.importer import main

sys.exit(main())
