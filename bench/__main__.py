"""`python -m bench` is `lab`."""

import sys

from bench.cli import main

sys.exit(main())
