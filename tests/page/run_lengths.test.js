/** The page's decoder of masks against pycocotools (`vectors.json`, see `write_vectors.py`). */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { decodeMask, fillRuns, readCounts, readRuns } from '../../viewer/web/static/run_lengths.js';

const { masks } = JSON.parse(readFileSync(new URL('vectors.json', import.meta.url), 'utf8'));

function pixelsOf(runs) {
  return Uint8Array.from(runs.flatMap((length, number) => Array(length).fill(number % 2)));
}

test('every mask is decoded as pycocotools decodes it', () => {
  assert.ok(masks.length > 60);
  for (const { size, counts, area, runs_by_row: runs } of masks) {
    const decoded = decodeMask({ size, counts });
    assert.deepEqual(decoded, pixelsOf(runs), `${size} ${counts.slice(0, 40)}`);
    assert.equal(decoded.reduce((sum, pixel) => sum + pixel, 0), area);
  }
});

test('what is no mask is refused', () => {
  const size = [2, 2];
  const texts = ['', '5', '21', '1', '_', 'p', '!', 'o', 'oooooooo0', 'äöü', ' '];
  for (const counts of texts) assert.equal(readRuns({ size, counts }), null, JSON.stringify(counts));
  for (const wrong of [[0, 4], [4, 0], [-2, -2], [1.5, 2], [70000, 1], [65536, 65536]]) {
    assert.equal(readRuns({ size: wrong, counts: '4' }), null, `${wrong}`);
  }
  assert.deepEqual(readRuns({ size, counts: '4' }), new Uint32Array(0));
});

test('a negative count is refused, as a difference that leads to one', () => {
  assert.equal(readCounts('O'), null);
  assert.equal(readCounts('1111I'), null);
});

test('a mask that is filled smaller covers the pixels whose centres it covers', () => {
  for (const { size, counts, runs_by_row: runs } of masks) {
    const [height, width] = size;
    const pixels = pixelsOf(runs);
    for (const scale of [0.5, 0.3, 1.7]) {
      const picture = { width: Math.ceil(width * scale), height: Math.ceil(height * scale) };
      const labels = new Uint16Array(picture.width * picture.height);
      fillRuns(readRuns({ size, counts }), size, labels, picture, 9);
      const expected = labels.map((_, place) => {
        const x = ((place % picture.width) + 0.5) * (width / picture.width);
        const y = (Math.floor(place / picture.width) + 0.5) * (height / picture.height);
        return 9 * pixels[Math.floor(y) * width + Math.floor(x)];
      });
      const differing = labels.filter((label, place) => label !== expected[place]).length;
      // A centre that lies on a border between two pixels may be rounded either way.
      assert.ok(differing <= 0.02 * labels.length, `${size} at ${scale}: ${differing} differ`);
    }
  }
});
