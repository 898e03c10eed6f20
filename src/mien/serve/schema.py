"""What the OpenAPI document says of bodies and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mien.serve.bodies import JSON, MULTIPART
from mien.serve.problems import CONTENT_TYPE

DESCRIPTION = """
Send a picture, get the faces in it and the expression on each: what people would call it, not what somebody feels.

```
curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' http://127.0.0.1:8000/v1/predict
```

Answers are the lines of `mien predict --json`. Pictures are neither stored nor passed on; addresses are not fetched. In
the European Union, Article 5(1)(f) of the AI Act bans inferring people's emotions at work and in education, except for
medical or safety reasons.
"""
PREDICT = """
The body is a picture (`image/*`), JSON with the picture in base64, or a form with several parts called `file`. One
picture gives one object; a form gives a line of JSON a file, in order, with an `error` where a file cannot be read.
"""
EXPLAIN = """
As `/v1/predict`, and for each face (the twelve largest at most) an `explanation`: a gray patch moves over the face, and
the map shows where hiding the face lowers the answer's probability (orange) or raises it (blue).
"""

_FACE_EXAMPLE = {
    "box": [219, 63, 108, 151],
    "emotion": "happy",
    "confidence": 0.9312,
    "probabilities": {
        "angry": 0.0021, "disgust": 0.0007, "fear": 0.0013, "happy": 0.9312, "neutral": 0.0541, "sad": 0.004,
        "surprise": 0.0066,
    },
    "landmarks": [[249.3, 124.0], [298.1, 121.7], [276.4, 153.2], [255.9, 178.8], [297.5, 176.9]],
    "score": 0.9287,
    "quality": 0.9731,
}  # fmt: skip
_PREDICTION_EXAMPLE = {"source": "image 1", "frame": None, "faces": [_FACE_EXAMPLE]}
_EXPLANATION_EXAMPLE = {
    **_PREDICTION_EXAMPLE,
    "faces": [
        {
            **_FACE_EXAMPLE,
            "explanation": {
                "method": "occlusion", "face": "iVBORw0KGgo=", "map": "iVBORw0KGgo=", "largest_fall": 0.4127,
                "largest_rise": 0.0213,
            },
        }
    ],
}  # fmt: skip
EXAMPLES = {"/v1/predict": _PREDICTION_EXAMPLE, "/v1/explain": _EXPLANATION_EXAMPLE}

_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_FACE: dict[str, Any] = {
    "type": "object",
    "required": ["box", "emotion", "confidence", "probabilities"],
    "properties": {
        "box": {
            "type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 4,
            "description": "x, y, width, height in pixels of the upright picture",
        },
        "emotion": {"type": "string"},
        "confidence": _SHARE,
        "probabilities": {"type": "object", "additionalProperties": _SHARE},
        "uncertain": {
            "const": True, "description": "present where confidence or quality is below `min_confidence`"
        },
        "landmarks": {
            "type": "array", "minItems": 5, "maxItems": 5,
            "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
            "description": "both eyes, the nose, both corners of the mouth; absent where no face was looked for",
        },
        "score": {**_SHARE, "description": "the detector's; absent where no face was looked for"},
        "quality": {
            **_SHARE, "description": "how much of a face there is to judge by; absent where no face was looked for"
        },
    },
    "additionalProperties": False,
}  # fmt: skip


def _of_faces(face: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["source", "frame", "faces"],
        "properties": {
            "source": {"type": "string"},
            "frame": {"type": ["integer", "null"]},
            "faces": {"type": "array", "items": face},
            "error": {"type": "string", "description": "why the picture cannot be read; then there are no faces"},
            "turned": {"enum": [90, 180, 270], "description": "degrees clockwise by which the picture lies, if any"},
            "animated": {"const": True, "description": "present for the first picture of an animation"},
        },
        "additionalProperties": False,
    }


_PNG = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}
_MAP = {
    "type": "object",
    "required": ["method", "face", "map", "largest_fall", "largest_rise"],
    "properties": {
        "method": {"const": "occlusion"},
        "face": {**_PNG, "description": "the gray square that the network saw"},
        "map": {**_PNG, "description": "colours to lay over it"},
        "largest_fall": {"type": "number"},
        "largest_rise": {"type": "number"},
    },
    "additionalProperties": False,
}
PREDICTION = _of_faces(_FACE)
EXPLANATION = _of_faces({**_FACE, "properties": {**_FACE["properties"], "explanation": _MAP}})

# A gray pixel.
_SMALL_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="

_FILE = {"type": "string", "format": "binary"}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            **{kind: {"schema": _FILE} for kind in ("image/jpeg", "image/png", "image/webp", "image/*")},
            JSON: {
                "schema": {
                    "type": "object", "required": ["image"], "additionalProperties": False,
                    "properties": {"image": {"type": "string", "description": "base64, or a data URI with base64"}},
                },
                "example": {"image": _SMALL_PNG},
            },
            MULTIPART: {
                "schema": {
                    "type": "object", "required": ["file"],
                    "properties": {"file": {"type": "array", "items": _FILE}},
                }
            },
        },
    }
}  # fmt: skip
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
        "detail": {"type": "string", "description": "cause and remedy"},
    },
}  # fmt: skip
_WHY = {
    400: "an option or a body that is not as described",
    401: "no token, or a wrong one",
    403: "asked by a page of another origin",
    408: "the body came too slowly",
    413: "too many bytes, pixels or files",
    415: "a body of another type",
    421: "asked by a name that is not this server's",
    422: "not a readable image",
    503: "busy: try again after as many seconds as Retry-After says",
}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"description": _WHY[status], "content": {CONTENT_TYPE: {"schema": _PROBLEM}}} for status in statuses
    }


def answers(answer: Mapping[str, Any]) -> dict[int | str, dict[str, Any]]:
    """The responses of a route that takes pictures."""
    content = {JSON: {"schema": answer}, "application/x-ndjson": {"schema": {"type": "string"}}}
    return {200: {"description": "the faces", "content": content}, **_problems(*_WHY)}


def _is(description: str, content_type: str, of: Mapping[str, Any], *others: int) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"description": description, "content": {content_type: {"schema": of}}},
        **_problems(401, 403, 421, *others),
    }


MODELS = _is("names, classes, sizes and measured figures", JSON, {"type": "object"})
STATE = _is("it lives", JSON, {"type": "object"})
STATE_OR_BUSY = _is("it takes pictures", JSON, {"type": "object"}, 503)
METRICS = _is("counters", "text/plain", {"type": "string"})
