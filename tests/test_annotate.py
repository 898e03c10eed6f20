"""Annotated pictures: labels are inside and apart, every face is marked, sizes and grounds of any kind."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mien.boxes import Box, Corners, intersection
from mien.colours import class_colour
from mien.emotions import EMOTIONS
from mien.predict import annotate as module
from mien.predict.annotate import annotate
from mien.predict.face import Face


def face(box: Box, emotion: str = "happy", confidence: float = 0.7, uncertain: bool = False) -> Face:
    rest = (1 - confidence) / 6
    return Face(
        box, (), emotion, confidence, {name: confidence if name == emotion else rest for name in EMOTIONS}, uncertain
    )


def group(columns: int, rows: int, side: int) -> list[Face]:
    places = [(i % columns * 2 * side + side // 2, i // columns * 2 * side + side) for i in range(columns * rows)]
    return [face((x, y, side, side), EMOTIONS[i % 7]) for i, (x, y) in enumerate(places)]


def layout(size: tuple[int, int], faces: list[Face]) -> tuple[list[module._Label], list[Corners]]:
    """Where labels and bars go on a picture that is not enlarged."""
    whole = Corners.of(0, 0, *size)
    boxes = [Corners.of(*each.box) for each in faces]
    labels = module._position_labels(faces, boxes, whole)
    panels = module._position_panels(faces, boxes, [label.area for label in labels], whole)
    return labels, [panel for panel in panels if panel]


@pytest.mark.parametrize("ground", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (0xE6, 0x9F, 0x00)])
@pytest.mark.parametrize("uncertain", [False, True])
def test_a_box_stands_out_from_every_ground(ground: tuple[int, int, int], uncertain: bool) -> None:
    drawn = np.asarray(
        annotate(Image.new("RGB", (640, 480), ground), [face((100, 200, 120, 150), uncertain=uncertain)])
    )
    edge = drawn[260, 95:110].astype(int)  # across the left side
    assert np.abs(edge - ground).sum(1).max() > 200


def test_the_answer_is_told_by_colour_and_the_uncertain_by_more_than_colour() -> None:
    plain = Image.new("RGB", (640, 480), (90, 120, 150))
    sure, unsure = (
        np.asarray(annotate(plain, [face((250, 200, 120, 150), uncertain=uncertain)])) for uncertain in (False, True)
    )
    colour = np.array(list(bytes.fromhex(class_colour(EMOTIONS.index("happy"))[1:])))
    amounts = [(drawn == colour).all(2).sum() for drawn in (sure, unsure)]
    assert amounts[0] > 2 * amounts[1] > 0


@pytest.mark.parametrize("x", [-40, 0, 590, 630])
@pytest.mark.parametrize("y", [-40, 0, 440, 475])
def test_labels_stay_inside_at_every_edge(x: int, y: int) -> None:
    labels, panels = layout((640, 480), [face((x, y, 60, 60), "surprise")])
    whole = Corners.of(0, 0, 640, 480)
    assert all(area.inside(whole) for area in [label.area for label in labels] + panels)


def test_thirty_faces_have_thirty_labels_that_hide_no_face_and_no_label() -> None:
    faces = group(6, 5, 70)
    labels, panels = layout((900, 760), faces)
    areas = [label.area for label in labels]
    assert len(labels) == 30 and not panels
    assert not any(intersection(a, b) for a, b in combinations(areas, 2))
    assert not any(intersection(area, Corners.of(*each.box)) for area in areas for each in faces)


def test_bars_come_where_there_is_room() -> None:
    _, panels = layout((1280, 720), [face((100, 200, 200, 240)), face((700, 200, 200, 240))])
    assert len(panels) == 2
    _, panels = layout((640, 480), [face((0, 0, 640, 480))])
    assert not panels


def test_bars_are_as_long_as_probabilities() -> None:
    drawn = np.asarray(annotate(Image.new("RGB", (1280, 720)), [face((100, 200, 200, 240), confidence=0.7)]))
    beside = drawn[:, 310:]
    lengths = [(beside == list(bytes.fromhex(class_colour(k)[1:]))).all(2).sum(1).max() for k in range(7)]
    happy = EMOTIONS.index("happy")
    assert lengths[happy] > 60
    rest = [length for k, length in enumerate(lengths) if k != happy]
    assert max(rest) - min(rest) <= 1
    assert rest[0] / lengths[happy] == pytest.approx(0.05 / 0.7, abs=0.03)


def test_small_pictures_are_enlarged_so_that_their_label_can_be_read() -> None:
    assert annotate(Image.new("L", (60, 60)), [face((10, 10, 40, 40))]).size == (480, 480)
    assert annotate(Image.new("RGB", (300, 100)), []).size == (300, 100)
    assert annotate(Image.new("RGB", (1, 1)), [face((0, 0, 1, 1))]).size == (480, 480)


def test_the_picture_given_is_left_alone() -> None:
    picture = Image.new("RGB", (600, 400))
    annotate(picture, [face((100, 100, 90, 90))])
    assert not np.asarray(picture).any()


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 700), st.integers(1, 700)),
    st.lists(st.tuples(*[st.integers(-50, 700)] * 2, *[st.integers(0, 400)] * 2), max_size=5),
    st.sampled_from(["RGB", "L", "RGBA", "P", "CMYK"]),
)
def test_any_picture_and_any_boxes_can_be_drawn(size: tuple[int, int], boxes: list[Box], mode: str) -> None:
    drawn = annotate(Image.new(mode, size), [face(box) for box in boxes])
    assert drawn.mode == "RGB" and drawn.width % size[0] == 0 and drawn.width // size[0] == drawn.height // size[1]


def test_classes_of_ones_own_are_drawn_too() -> None:
    many = {f"class {k}": 1 / 40 for k in range(40)}
    drawn = annotate(Image.new("RGB", (800, 600)), [Face((100, 100, 300, 300), (), "class 39", 1 / 40, many)])
    assert np.asarray(drawn).any()
