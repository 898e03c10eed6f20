"""`python -m mien` is `mien`."""

from mien.cli import main

raise SystemExit(main())
