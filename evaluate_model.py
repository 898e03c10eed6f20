"""Score a trained model on the test part. The same as `mien evaluate`; see `--help`."""

import sys

from mien.cli.app import main

if __name__ == "__main__":
    raise SystemExit(main(["evaluate", *sys.argv[1:]]))
