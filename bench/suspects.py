"""How many suspect labels are wrong: `mien audit --suspects` against the votes of ten annotators (FER+).

Of the training suspects that have a FER+ label, the most suspicious first, the share whose FER+ label contradicts the
given one; and the same of all training faces that have a FER+ label, where nobody suspects anything. The networks see
FER-2013's labels only. Prints a Markdown table.

    python bench/suspects.py --data data/archive.zip --votes ferplus.csv
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from common import say

from mien.audit.findings import Audit, audit
from mien.audit.suspects import FOLDS, RECIPE, cross_probabilities, find_suspects
from mien.data.sources import open_source
from mien.data.votes import read_votes
from mien.records.intervals import wilson

DEPTHS = (100, 300, 1000, 3000)


def main() -> None:
    options = flags().parse_args()
    start = time.perf_counter()
    findings = audit(open_source(options.data))
    audited = time.perf_counter()
    say(f"audited in {audited - start:.1f} s")
    probabilities = cross_probabilities(
        findings, options.seed, on_forecast=lambda seconds: say(f"suspects take about {seconds / 60:.0f} min")
    )
    indices = np.array([suspect.index for suspect in find_suspects(findings.faces.labels, probabilities)])
    minutes = (time.perf_counter() - audited) / 60
    contradicted = contradictions(findings, options.votes)
    training = np.flatnonzero(findings.parts == "train")
    right = (probabilities.argmax(1) == findings.faces.labels)[training].mean()
    names = f"{len(indices):,} of {len(findings.names):,} labels"
    print(f"Audit {audited - start:.1f} s; suspects {minutes:.1f} min: {names}.")
    print(f"{FOLDS} folds of {RECIPE.epochs} epochs ('{RECIPE.network}'), right on {right:.1%} of training faces.\n")
    print("| training faces with a FER+ label | contradicted | 95 % interval |\n| --- | ---: | ---: |")
    print(row("all", contradicted[training]))
    suspected = contradicted[indices[np.isin(indices, training)]]
    suspected = suspected[~np.isnan(suspected)]
    for depth in (*(depth for depth in DEPTHS if depth < len(suspected)), len(suspected)):
        print(row(f"the first {depth:,} suspects", suspected[:depth]))


def flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/archive.zip"), help="FER-2013 as Kaggle's archive.zip")
    parser.add_argument("--votes", type=Path, required=True, help="FER+'s votes: fer2013new.csv or ferplus.csv")
    parser.add_argument("--seed", type=int, default=0, help="draws folds and training")
    return parser


def contradictions(findings: Audit, votes: Path) -> np.ndarray:
    """For each image 1 where its FER+ label is another than the given one, 0 where not, nan where there is none."""
    known = read_votes(votes, findings.faces.classes)
    indices = np.array([known.find(path) for path in findings.faces.paths])
    shares = np.where(indices[:, None] >= 0, known.shares[indices], 0)
    first, second = np.sort(shares, axis=1)[:, :-3:-1].T
    return np.where(first > second, shares.argmax(1) != findings.faces.labels, np.nan)


def row(name: str, contradicted: np.ndarray) -> str:
    known = contradicted[~np.isnan(contradicted)]
    low, high = wilson(int(known.sum()), len(known))
    return f"| {name} (n = {len(known):,}) | {known.mean():.1%} | {low:.1%} to {high:.1%} |"


if __name__ == "__main__":
    main()
