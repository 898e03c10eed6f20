"""Speed of training with a teacher from an `.onnx` file: onnxruntime's threads asleep between batches, beside spinning.

    python bench/teachers.py --data data/archive.zip

Spinning is onnxruntime's own way, sleeping is mien's. Recipe `tiny`, taught by the shipped `base` on an eighth of
Training; the faster of two epochs counts. Each measurement is a process of its own, and the sides take turns.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

from common import BENCH, Side, alternate, check_archive, parser, print_machine, print_table

EPOCHS = 2
SHARE = 8  # one of so many faces


def images_per_second(archive: Path, spinning: bool) -> dict[str, object]:
    """The faster epoch's speed, with onnxruntime's threads spinning or not."""
    import numpy as np

    from mien import open_data
    from mien.models.files import read_model
    from mien.models.onnx_runtime import onnxruntime
    from mien.train import find_recipe, train

    session = onnxruntime.InferenceSession

    def spin(data, options, **others):
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        return session(data, options, **others)

    with mock.patch("onnxruntime.InferenceSession", spin if spinning else session):
        teacher = read_model("base")
    split = open_data(archive)
    some, few = (part.subset(np.arange(0, len(part), SHARE)) for part in (split.train, split.val))
    result = train(replace(find_recipe("tiny"), epochs=EPOCHS), some, few, teachers=[teacher])
    speed = max(epoch.images_per_second for epoch in result.history)
    return {"images_per_second": speed, "library": f"mien on onnxruntime {onnxruntime.__version__}"}


def main() -> None:
    """Let the sides take turns, print the table."""
    flags = parser(__doc__)
    flags.add_argument("--inner", choices=["asleep", "spinning"], help="measure one side once; prints JSON")
    args = flags.parse_args()
    if args.inner:
        print(json.dumps(images_per_second(args.data, args.inner == "spinning")))
        return
    check_archive(args.data)
    command = (sys.executable, str(BENCH / "teachers.py"), "--data", str(args.data), "--inner")
    sides = (Side("asleep", (*command, "asleep")), Side("spinning", (*command, "spinning")))
    readings = alternate(*sides, args.rounds, "images_per_second")
    print_machine(("torch", "onnxruntime"), readings)
    print_table(sides, "images/s", readings, more_is_better=True)


if __name__ == "__main__":
    main()
