/**
 * Colours that follow an object from picture to picture, as `viewer/colors.py` chooses them: by its
 * track, else by where it was. Pure.
 */

/** @import {Instance} from './types.js' */
/** @typedef {[number, number, number]} Color Red, green, blue, 0..255. */
/** @typedef {[number, number, number, number]} Box x, y, width, height. */

/** Colours of neighbouring numbers differ most. @type {Color[]} */
export const PALETTE = [
  [230, 60, 70],
  [40, 190, 90],
  [70, 130, 255],
  [250, 190, 40],
  [200, 80, 230],
  [30, 200, 220],
  [255, 130, 50],
  [160, 210, 40],
  [255, 110, 180],
  [130, 110, 255],
  [60, 220, 170],
  [210, 150, 110],
];

const GOLDEN = 0x9e3779b97f4a7c15n;
const CHROMA = 62;
const LIGHTNESS = [66, 76, 56];
const REMEMBERED = 4096;
const MIN_OVERLAP = 0.3;

/** @type {Map<number, Color>} */
const known = new Map();

/**
 * Return the colour of a track, always the same; neighbouring numbers differ most.
 * @param {number} track
 * @returns {Color}
 */
export function trackColor(track) {
  const before = known.get(track);
  if (before) return before;
  if (known.size >= REMEMBERED) known.clear();
  const turn = Number(BigInt.asUintN(64, BigInt(track) * GOLDEN)) / 2 ** 64;
  const lightness = LIGHTNESS[track % 3];
  const angle = 2 * Math.PI * turn;
  const color = fromLab(lightness, CHROMA * Math.cos(angle), CHROMA * Math.sin(angle));
  known.set(track, color);
  return color;
}

/**
 * Return a track's number as it is written beside the object: long ones by the last digits.
 * @param {number} track
 */
export function trackLabel(track) {
  return track < 10_000 ? `#${track}` : `#${String(track % 10_000).padStart(4, '0')}`;
}

/**
 * Return black or white, whichever can be read on a colour.
 * @param {Color} color
 */
export function inkOn([red, green, blue]) {
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? '#000' : '#fff';
}

/** @param {Color} color */
export function css([red, green, blue]) {
  return `rgb(${red} ${green} ${blue})`;
}

/** Gives an object the colour of its track, or of the one before that it overlaps most. */
export class ColorMemory {
  constructor() {
    /** @type {{box: Box, number: number}[]} */
    this._before = [];
    this._next = 0;
  }

  /**
   * Return the colour of each instance, and remember it for the next picture.
   * @param {Instance[]} instances
   * @returns {Color[]}
   */
  assign(instances) {
    const numbers = this._matched(instances);
    instances.forEach((instance, place) => {
      if (instance.track === undefined && !numbers.has(place)) numbers.set(place, this._next++);
    });
    this._before = [...numbers].map(([place, number]) => ({ box: instances[place].box, number }));
    return instances.map(({ track }, place) =>
      track === undefined
        ? PALETTE[(numbers.get(place) ?? 0) % PALETTE.length]
        : trackColor(track),
    );
  }

  /**
   * @param {Instance[]} instances
   * @returns {Map<number, number>} Number of each untracked place that was there before.
   */
  _matched(instances) {
    const pairs = instances.flatMap(({ box, track }, place) =>
      track === undefined
        ? this._before.map((one) => ({ place, one, overlap: overlapOf(box, one.box) }))
        : [],
    );
    /** @type {Map<number, number>} */
    const numbers = new Map();
    const taken = new Set();
    pairs.sort((first, second) => second.overlap - first.overlap);
    for (const { place, one, overlap } of pairs) {
      if (overlap < MIN_OVERLAP) break;
      if (numbers.has(place) || taken.has(one.number)) continue;
      numbers.set(place, one.number);
      taken.add(one.number);
    }
    return numbers;
  }
}

/**
 * Return the intersection over union of two boxes, 0..1.
 * @param {Box} first
 * @param {Box} second
 */
export function overlapOf(first, second) {
  const width = Math.min(first[0] + first[2], second[0] + second[2]) - Math.max(first[0], second[0]);
  const height = Math.min(first[1] + first[3], second[1] + second[3]) - Math.max(first[1], second[1]);
  if (width <= 0 || height <= 0) return 0;
  const shared = width * height;
  return shared / (first[2] * first[3] + second[2] * second[3] - shared);
}

/**
 * @param {number} lightness
 * @param {number} a
 * @param {number} b
 * @returns {Color} sRGB of a colour of CIELAB (D65).
 */
function fromLab(lightness, a, b) {
  const middle = (lightness + 16) / 116;
  const x = 0.950456 * cube(middle + a / 500);
  const y = cube(middle);
  const z = 1.088754 * cube(middle - b / 200);
  return [
    display(3.240479 * x - 1.53715 * y - 0.498535 * z),
    display(-0.969256 * x + 1.875991 * y + 0.041556 * z),
    display(0.055648 * x - 0.204043 * y + 1.057311 * z),
  ];
}

/** @param {number} value */
function cube(value) {
  return value > 6 / 29 ? value ** 3 : 3 * (6 / 29) ** 2 * (value - 4 / 29);
}

/** @param {number} linear */
function display(linear) {
  const encoded = linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055;
  return Math.round(255 * Math.min(1, Math.max(0, encoded)));
}
