"""Divide FER-2013, or any folder of faces, into train/ val/ test/. The same as `mien prepare`; see `--help`."""

import sys

from mien.cli.app import main

if __name__ == "__main__":
    raise SystemExit(main(["prepare", *sys.argv[1:]]))
