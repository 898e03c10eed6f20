"""What taking the frequency of the classes out of a model's answers costs in agreement and brings in macro F1.

    python bench/prior.py --model runs/base-s0 --data data/archive.zip --votes fer2013new.csv

One row for each share of ln(frequency in training) taken out of the logits: 0 answers as if faces came as they do in
FER-2013, 1 as if every expression were as likely as any other. `as trained` is the model as it is. Scored on the
validation part, against the majority of votes; without --votes against the given labels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

SHARES = (0.0, 0.25, 0.375, 0.5, 0.75, 1.0)


def main() -> None:
    """Ask the model once, print the table."""
    from mien.data.sources import open_data
    from mien.data.votes import join_split, with_majority
    from mien.evaluate.scores import score
    from mien.models.files import read_model
    from mien.models.model import logits, softmax
    from mien.train.recipes import find_recipe

    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--model", type=Path, required=True)
    flags.add_argument("--data", type=Path, default=Path("data/archive.zip"), help="FER-2013 as Kaggle's archive.zip")
    flags.add_argument("--votes", type=Path, help="fer2013new.csv or ferplus.csv")
    args = flags.parse_args()
    model, split = read_model(args.model), open_data(args.data)
    faces = with_majority(join_split(args.votes, split)[0].val if args.votes else split.val)
    taken = find_recipe(model.notes["recipe"]).adjust
    answers = logits(model, faces.images)
    frequency = np.log(model.prior) / (1 - taken)
    print(f"n = {len(faces):,}\n\n| share taken out | accuracy | macro F1 | recall of disgust, fear |")
    print("| --- | ---: | ---: | ---: |")
    for share in SHARES:
        scores = score(softmax(answers - (share - taken) * frequency), faces.labels, faces.classes)
        rare = ", ".join(f"{scores.per_class[name].recall:.0%}" for name in ("disgust", "fear"))
        name = f"{share:g} (as trained)" if share == taken else f"{share:g}"
        print(f"| {name} | {scores.accuracy:.1%} | {scores.macro_f1:.3f} | {rare} |")


if __name__ == "__main__":
    main()
