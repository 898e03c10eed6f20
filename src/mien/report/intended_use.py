"""What every report and model card says alike: intended use, misuse and limits of such models."""

from __future__ import annotations

from typing import NamedTuple


class Remark(NamedTuple):
    """A short sentence, and what there is to say about it."""

    head: str
    text: str


USES = (
    Remark(
        "For learning and research.",
        "To see how such a model is built and measured, and as a baseline for other models.",
    ),
    Remark(
        "For pictures, where mistakes cost nothing.",
        "To describe or sort pictures by the expression they show, with the knowledge of the people in them.",
    ),
)

MISUSES = (
    Remark(
        "Not for inferring what somebody feels.",
        "The model says which word people would choose for a picture of a face. What the person feels is another "
        "matter: a face does not reliably show it, and how far it does differs between people, situations and cultures "
        "(Barrett et al. 2019, Emotional Expressions Reconsidered, Psychological Science in the Public Interest 20).",
    ),
    Remark(
        "Not at work, not in education.",
        "In the European Union, Article 5(1)(f) of the AI Act (Regulation 2024/1689) bans systems that infer people's "
        "emotions there, except for medical or safety reasons.",
    ),
    Remark("Not for decisions about anybody.", "Whatever the law says where you are."),
)

LIMITS = (
    Remark(
        "The labels are noisy.",
        "FER-2013, the usual data set for this task, was collected by web search. When ten annotators looked at its "
        "training faces again (FER+, Barsoum et al. 2016, arXiv:1608.01041), their most frequent answer was the "
        "original label for only 65.8 % of them. So some of the mistakes are errors of the labels, and an accuracy "
        "near 100 % on such labels would be a sign that something is wrong.",
    ),
    Remark(
        "The faces do not represent everybody.",
        "Some were posed or acted, others candid, and age, origin and lighting are unevenly represented. Nothing was "
        "measured by age, sex or skin colour; do not assume that the scores hold equally for all.",
    ),
    Remark("There is always an answer.", "The model gives a confidence for whatever it is shown, even for a wall."),
)
