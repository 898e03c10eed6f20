"""Train the classic network and write emotion_model.h5. The same as `mien train`; see `--help`."""

import sys

from mien.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["train", "--save_as", "emotion_model.h5", *sys.argv[1:]]))
