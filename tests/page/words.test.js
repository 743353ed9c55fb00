/** What the page says, where it leads, and how a wall fits. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fitGrid, fitted, rowsNear } from '../../viewer/web/static/fit.js';
import { PictureShelf } from '../../viewer/web/static/picture_shelf.js';
import { cameraAddress, readPlace, wallAddress } from '../../viewer/web/static/router.js';
import { cameraWords, countWords, laneWords, spanWords, troubleWords } from '../../viewer/web/static/words.js';

const NOON = Date.parse('2026-11-29T13:03:24.000Z');
const zone = { timeZone: 'Europe/Berlin' };
const now = {
  link: 'open',
  redis: 'ok',
  nowMs: NOON,
  openMs: NOON - 3600_000,
  clock: new Intl.DateTimeFormat('en-GB', { ...zone, timeStyle: 'medium' }),
  day: new Intl.DateTimeFormat('en-GB', { ...zone, day: 'numeric', month: 'short' }),
};
const live = { id: 'gate', state: 'live', seen: NOON / 1000, fps: 4.92, interval: 0.2 };
const picture = (agoMs) => ({ camera: 'gate', capturedMs: NOON - agoMs });

test('a camera that works tells its rate and the age of its picture', () => {
  const words = cameraWords(live, picture(312), now);
  assert.deepEqual(words, { level: 'live', text: '4.9 fps', detail: '0.3 s' });
});

test('one that has stopped tells so, with the time of the site and how long ago', () => {
  const words = cameraWords({ ...live, state: 'offline' }, picture(12_000), now);
  assert.equal(words.level, 'offline');
  assert.equal(words.text, 'Offline, last picture 14:03:12, 12 s ago');
});

test('one that stopped yesterday tells the day', () => {
  const words = cameraWords({ ...live, state: 'offline' }, picture(26 * 3600_000), now);
  assert.equal(words.text, 'Offline, last picture 28 Nov 12:03:24, 26 h ago');
});

test('a picture that is old is never called live', () => {
  assert.equal(cameraWords(live, picture(3100), now).level, 'late');
  assert.equal(cameraWords({ ...live, interval: 2 }, picture(5000), now).level, 'live');
  // Nobody watched it until now: the picture of ten seconds ago is what there is.
  const first = cameraWords(live, picture(8000), now, NOON - 500);
  assert.deepEqual(first, { level: 'live', text: '4.9 fps', detail: '8.0 s' });
  assert.equal(cameraWords(live, picture(8000), { ...now, openMs: NOON - 500 }).level, 'live');
  for (const lost of [{ link: 'lost' }, { redis: 'away' }]) {
    const words = cameraWords(live, picture(2000), { ...now, ...lost });
    assert.deepEqual(words, { level: 'late', text: 'Last picture 14:03:22, 2 s ago', detail: '' });
  }
});

test('one that never had a picture says so', () => {
  const never = { ...live, seen: null };
  assert.equal(cameraWords({ ...never, state: 'waiting' }, undefined, now).text, 'Waiting for the first picture');
  assert.equal(cameraWords({ ...never, state: 'offline' }, undefined, now).text, 'Offline, no picture yet');
  assert.equal(cameraWords(live, undefined, now).text, 'Picture on its way');
});

test('spans and counts are written as people say them', () => {
  const spans = [0, 340, 9940, 12_000, 99_000, 240_000, 7_500_000, 7_200_000, 200_000_000, -5];
  const words = ['0.0 s', '0.3 s', '9.9 s', '12 s', '99 s', '4 min', '2 h 5 min', '2 h', '2 days', '0.0 s'];
  assert.deepEqual(spans.map((span) => spanWords(span)), words);
  assert.equal(countWords({ vehicle: 1, person: 3 }), '3 person, 1 vehicle');
  assert.equal(countWords({}), 'nothing');
});

test('trouble is told once, the nearest first', () => {
  assert.equal(troubleWords('open', 'ok', null), '');
  assert.match(troubleWords('lost', 'away', 'x'), /^Connection to the viewer lost/);
  assert.equal(troubleWords('open', 'away', 'no answer.'), 'Redis is away, trying again. No answer.');
});

test('addresses lead to what they were made for, whatever a camera is called', () => {
  for (const camera of ['gate', 'yard 1', 'a/b', 'ä%20?#&', '..']) {
    assert.deepEqual(readPlace(cameraAddress(camera)).camera, camera);
  }
  assert.equal(readPlace('').view, 'wall');
  assert.equal(readPlace('#/camera/').view, 'wall');
  assert.equal(readPlace('#/camera/%E0%A4%A').camera, '%E0%A4%A');
  assert.equal(readPlace(wallAddress({ find: 'a&b', group: '' })).query.get('find'), 'a&b');
  assert.equal(wallAddress({ find: '' }), '#/');
});

test('a wall fits its screen while its tiles are large enough, and scrolls after that', () => {
  const room = { width: 1408, height: 820, gap: 10, caption: 30, aspect: 16 / 9, minWidth: 150, usualWidth: 200 };
  for (const count of [1, 2, 3, 4, 5, 9, 16, 20, 30, 45]) {
    const { columns, tile } = fitGrid(count, room);
    const rows = Math.ceil(count / columns);
    assert.ok(columns * tile + (columns - 1) * room.gap <= room.width, `${count}: too wide`);
    const high = rows * (tile / room.aspect + room.caption) + (rows - 1) * room.gap;
    assert.ok(high <= room.height + rows, `${count} cameras take ${high} pixels`);
    assert.ok(tile >= room.minWidth);
  }
  assert.deepEqual(fitGrid(300, room), { columns: 6, tile: 226 });
  assert.deepEqual(fitGrid(300, { ...room, width: 336, usualWidth: 150 }), { columns: 2, tile: 163 });
  assert.equal(fitGrid(0, room).columns, 1);
});

test('only rows near the screen are made', () => {
  assert.deepEqual(rowsNear(-100, 800, 0.5, 200, 50), { first: 0, last: 6 });
  assert.deepEqual(rowsNear(4000, 800, 0.5, 200, 50), { first: 18, last: 26 });
  assert.deepEqual(rowsNear(9900, 800, 0.5, 200, 50), { first: 47, last: 50 });
  assert.deepEqual(rowsNear(0, 800, 0.5, 200, 0), { first: 0, last: 0 });
});

test('a picture keeps its shape in its room', () => {
  assert.deepEqual(fitted({ width: 768, height: 576 }, { width: 800, height: 300 }), { width: 400, height: 300 });
  assert.deepEqual(fitted({ width: 4000, height: 1 }, { width: 100, height: 100 }), { width: 100, height: 1 });
});

test('the shelf of pictures keeps the newest within its bound', () => {
  const shelf = new PictureShelf(100);
  const put = (camera, bytes) => shelf.put({ header: { camera }, jpeg: new Uint8Array(bytes) });
  put('a', 40);
  put('b', 40);
  put('a', 50); // anew: it is now newer than b
  put('c', 40);
  assert.deepEqual([shelf.get('a') !== undefined, shelf.get('b'), shelf.bytes], [true, undefined, 90]);
  put('d', 500); // more than the bound: it alone is kept
  assert.equal(shelf.bytes, 500);
});

test('a further lane is named, the only one is not', () => {
  assert.equal(laneWords('shadow'), 'Lane shadow');
  assert.equal(laneWords('main'), '');
});
