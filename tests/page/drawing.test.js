/** What is drawn: colours as `viewer/colors.py` has them, masks as a layer, trails. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { ColorMemory, PALETTE, trackColor, trackLabel } from '../../viewer/web/static/colors.js';
import { placeLabels } from '../../viewer/web/static/label_places.js';
import { MaskLayer } from '../../viewer/web/static/mask_layer.js';
import { TrailMemory } from '../../viewer/web/static/trails.js';

const vectors = JSON.parse(readFileSync(new URL('vectors.json', import.meta.url), 'utf8'));

function instance(box, more = {}) {
  return { id: 1, class: 'person', score: 0.9, box, ...more };
}

test('a track has the colour and the label that the overlay of Python gives it', () => {
  assert.deepEqual(PALETTE, vectors.palette);
  for (const { track, color, label } of vectors.tracks) {
    const far = trackColor(track).map((part, place) => Math.abs(part - color[place]));
    assert.ok(Math.max(...far) <= 1, `track ${track}: ${trackColor(track)}, expected ${color}`);
    assert.equal(trackLabel(track), label);
  }
});

test('labels stand where the overlay of Python puts them', () => {
  const size = ([width, height]) => ({ width, height });
  for (const { boxes, sizes, picture, places } of vectors.labels) {
    const found = placeLabels(boxes, sizes.map(size), size([picture[1], picture[0]]));
    // Python rounds half a pixel to the even one.
    const far = found.flatMap(([x, y], place) => [x - places[place][0], y - places[place][1]]);
    assert.ok(Math.max(...far.map(Math.abs)) <= 1, `${boxes.length}: ${far}`);
  }
});

test('an object without a track keeps its colour while it moves, and a new one gets another', () => {
  const memory = new ColorMemory();
  const [first, second] = memory.assign([instance([0, 0, 10, 10]), instance([50, 0, 10, 10])]);
  const moved = memory.assign([instance([52, 1, 10, 10]), instance([90, 0, 5, 5]), instance([2, 0, 10, 10])]);
  assert.deepEqual([moved[0], moved[2]], [second, first]);
  assert.notDeepEqual(moved[1], first);
  assert.notDeepEqual(moved[1], second);
});

test('the layer is clear around a mask, opaque at its contour, translucent inside', () => {
  const layer = new MaskLayer();
  const area = layer.paint([instance([1, 1, 4, 4], { mask: square() })], [[10, 20, 30]], { width: 6, height: 6 });
  assert.deepEqual(area, { left: 0, top: 0, right: 6, bottom: 6 });
  const at = (x, y) => [...layer.bytes.slice(4 * (6 * y + x), 4 * (6 * y + x) + 4)];
  assert.deepEqual(at(0, 0), [0, 0, 0, 0]);
  assert.deepEqual(at(1, 1), [10, 20, 30, 242]);
  assert.deepEqual(at(2, 2), [10, 20, 30, 107]);
  assert.equal(layer.paint([], [], { width: 6, height: 6 }), null);
  assert.ok(layer.bytes.every((byte) => byte === 0));
});

test('a malformed mask takes no other object away', () => {
  const layer = new MaskLayer();
  const broken = instance([0, 0, 6, 6], { mask: { size: [6, 6], counts: 'zzz' } });
  const good = instance([1, 1, 4, 4], { mask: square() });
  assert.ok(layer.paint([broken, good], [[1, 1, 1], [2, 2, 2]], { width: 6, height: 6 }));
  assert.deepEqual([...layer.bytes.slice(4 * 7, 4 * 7 + 3)], [2, 2, 2]);
});

test('a trail goes back two seconds, and begins anew when time or size does', () => {
  const memory = new TrailMemory();
  const walker = (x) => [instance([x, 0, 4, 10], { track: 3 })];
  memory.add(0, walker(0), 'a');
  memory.add(1, walker(10), 'a');
  const trail = memory.add(2.5, walker(20), 'a').get(3);
  assert.deepEqual(trail.map(({ x }) => x), [12, 22]);
  assert.equal(trail[0].age, 0.75);
  assert.equal(memory.add(2.5, walker(20), 'a').get(3).length, 2); // the same picture, drawn again
  assert.equal(memory.add(1, walker(0), 'a').get(3).length, 1);
  assert.equal(memory.add(2, walker(0), 'b').get(3).length, 1);
});

/** Rows and columns 1 to 4 of 6 x 6: 7 outside, then 4 in, 2 out, ..., 7 outside. */
function square() {
  const counts = [7, 4, 2, 4, 2, 4, 2, 4, 7];
  const text = counts.map((count, place) => write(place > 2 ? count - counts[place - 2] : count));
  return { size: [6, 6], counts: text.join('') };
}

/** A count of -16..15 as COCO writes it. */
function write(count) {
  return String.fromCharCode(48 + (count & 31));
}
