// Boxes by their edges: [left, top, right, bottom], right and bottom just outside.

/** The area that two boxes share. */
export function intersection(one, other) {
  const across = Math.max(0, Math.min(one[2], other[2]) - Math.max(one[0], other[0]));
  const down = Math.max(0, Math.min(one[3], other[3]) - Math.max(one[1], other[1]));
  return across * down;
}

export const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);

/** Intersection over union. */
export function overlap(one, other) {
  const shared = intersection(one, other);
  return shared / Math.max(area(one) + area(other) - shared, 1e-9);
}

/** Indices of boxes, highest score first, without those that overlap a higher one by over `most`. */
export function distinct(boxes, scores, most) {
  let left = boxes.map((_, i) => i).sort((a, b) => scores[b] - scores[a]);
  const chosen = [];
  while (left.length) {
    const [best, ...others] = left;
    chosen.push(best);
    left = others.filter((i) => overlap(boxes[best], boxes[i]) <= most);
  }
  return chosen;
}

/** Whether no part of a box lies outside another. */
export const inside = (box, other) => box[0] >= other[0] && box[1] >= other[1] && box[2] <= other[2] && box[3] <= other[3];
