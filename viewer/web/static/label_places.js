/** Where labels stand, as `viewer/label_places.py` has it: near their objects, not over each other. Pure. */

/** @typedef {[number, number, number, number]} Box x, y, width, height. */
/** @typedef {{width: number, height: number}} Size */

const GAP = 2;
/** Of more labels each takes its first choice: nobody can read so many. */
const MOST_COMPARED = 300;

/**
 * Return the left top corner of each label: above the middle of its box where there is room, else
 * further up, below the box or within it; where everything is taken, where it covers the least of
 * other labels. Labels of nearer objects, whose boxes end lower, choose first.
 * @param {Box[]} boxes Of the objects.
 * @param {Size[]} sizes Of the labels.
 * @param {Size} picture
 * @returns {[number, number][]}
 */
export function placeLabels(boxes, sizes, picture) {
  /** @type {Box[]} */
  const taken = [];
  /** @type {[number, number][]} */
  const places = boxes.map(() => [0, 0]);
  const order = [...boxes.keys()].sort(
    (one, other) => boxes[other][1] + boxes[other][3] - boxes[one][1] - boxes[one][3],
  );
  for (const number of order) {
    const choices = choicesOf(boxes[number], sizes[number], picture);
    const best = boxes.length <= MOST_COMPARED ? freest(choices, taken) : choices[0];
    taken.push(best);
    places[number] = [best[0], best[1]];
  }
  return places;
}

/**
 * @param {Box} box
 * @param {Size} size
 * @param {Size} picture
 * @returns {Box[]}
 */
function choicesOf([x, y, width, height], size, picture) {
  const step = size.height + GAP;
  const rows = [y - step, y - 2 * step, y + height + GAP, y - 3 * step, y + GAP];
  const middle = Math.max(0, x + width / 2 - size.width / 2);
  const left = Math.round(Math.min(middle, Math.max(0, picture.width - size.width)));
  const lowest = Math.max(0, picture.height - size.height);
  return rows.map((row) => [
    left,
    Math.round(Math.min(Math.max(0, row), lowest)),
    size.width,
    size.height,
  ]);
}

/**
 * Return the first choice that covers nothing taken, or the one that covers the least.
 * @param {Box[]} choices
 * @param {Box[]} taken
 */
function freest(choices, taken) {
  let best = choices[0];
  let least = Infinity;
  for (const choice of choices) {
    const covered = taken.reduce((sum, other) => sum + shared(choice, other), 0);
    if (covered < least) {
      best = choice;
      least = covered;
    }
    if (!covered) break;
  }
  return best;
}

/**
 * @param {Box} one
 * @param {Box} other
 */
function shared(one, other) {
  const width = Math.min(one[0] + one[2], other[0] + other[2]) - Math.max(one[0], other[0]);
  const height = Math.min(one[1] + one[3], other[1] + other[3]) - Math.max(one[1], other[1]);
  return Math.max(0, width) * Math.max(0, height);
}
