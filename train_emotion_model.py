"""Train the classic network and write emotion_model.h5. The same as `mien train`; see `--help`."""

import sys

from mien.cli.app import main

if __name__ == "__main__":
    words = sys.argv[1:]
    resumes = any(word.partition("=")[0] == "--resume" for word in words)  # then the run knows where its model goes
    raise SystemExit(main(["train", *([] if resumes else ["--save_as", "emotion_model.h5"]), *words]))
