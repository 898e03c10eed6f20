"""What every report and model card says alike: what such models are for, what they are not for, and their limits."""

from __future__ import annotations

from typing import NamedTuple


class Remark(NamedTuple):
    """A short sentence, and what there is to say about it."""

    head: str
    text: str


USES = (
    Remark(
        "For learning and research.",
        "To see how such a model is made and measured, and as a mark that other models are measured against.",
    ),
    Remark(
        "For pictures, where mistakes cost nothing.",
        "To describe or sort pictures by the expression they show, of people who know of it.",
    ),
)

MISUSES = (
    Remark(
        "Not for telling what somebody feels.",
        "The model says which word people would put to a picture of a face. What the person feels is another matter: a "
        "face does not reliably show it, and how far it does differs between people, situations and cultures (Barrett "
        "et al. 2019, Emotional Expressions Reconsidered, Psychological Science in the Public Interest 20).",
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
        "The labels are rough.",
        "FER-2013, the usual data for this task, was gathered by a web search. When ten people looked again at its "
        "training faces (FER+, Barsoum et al. 2016, arXiv:1608.01041), their commonest answer was the original label "
        "for only 65.8 % of them. So part of the mistakes are the labels', and an accuracy near 100 % on such labels "
        "would be a sign of something wrong.",
    ),
    Remark(
        "The faces are not everybody's.",
        "They were posed and acted as well as caught, and are uneven in age, origin and light. Nothing was measured by "
        "age, sex or skin colour; do not assume that the figures hold alike for all.",
    ),
    Remark("There is an answer to everything.", "A confidence is given for whatever is shown, even for a wall."),
)
