/**
 * COCO's compressed run-lengths. Pure.
 *
 * A count is written as groups of 5 bits, the lowest first, each as the character 48 + group; the
 * bit 32 says that another group follows, the bit 16 of the last one is the sign. From the fourth
 * count on, what is written is the difference to the count before the last. Runs go down the
 * columns; the first is outside the mask.
 */

/** @import {RunLengths} from './types.js' */

const MAX_PIXELS = 2 ** 28;
const MAX_SIDE = 2 ** 16;
const MAX_GROUPS = 7;

/**
 * Read compressed counts.
 * @param {string} text
 * @returns {number[] | null} Pixels of each run; null where the text is none.
 */
export function readCounts(text) {
  /** @type {number[]} */
  const counts = [];
  let place = 0;
  while (place < text.length) {
    let value = 0;
    let groups = 0;
    let group = 0;
    do {
      group = text.charCodeAt(place) - 48;
      if (!(group >= 0 && group <= 63) || groups === MAX_GROUPS) return null;
      value += (group & 31) * 2 ** (5 * groups);
      groups += 1;
      place += 1;
    } while (group & 32);
    if (group & 16) value -= 2 ** (5 * groups);
    if (counts.length > 2) value += counts[counts.length - 2];
    if (value < 0 || value > MAX_PIXELS) return null;
    counts.push(value);
  }
  return counts.length ? counts : null;
}

/**
 * Return where a mask's runs begin and end, in the column-major order of its image.
 * @param {RunLengths} mask
 * @returns {Uint32Array | null} begin, end, begin, end, ...; null where the mask is malformed.
 */
export function readRuns(mask) {
  const [height, width] = mask.size;
  const sides = Number.isInteger(height) && Number.isInteger(width) && Math.min(height, width) > 0;
  if (!sides || Math.max(height, width) > MAX_SIDE || height * width > MAX_PIXELS) return null;
  const counts = readCounts(mask.counts);
  if (!counts) return null;
  const runs = new Uint32Array(2 * Math.floor(counts.length / 2));
  let position = 0;
  counts.forEach((count, number) => {
    position += count;
    if (number < runs.length) runs[number] = position;
  });
  return position === height * width ? runs : null;
}

/**
 * Decode a mask into its image's pixels, row by row.
 * @param {RunLengths} mask
 * @returns {Uint8Array | null} height * width values, 1 inside; null where the mask is malformed.
 */
export function decodeMask(mask) {
  const runs = readRuns(mask);
  if (!runs) return null;
  const [height, width] = mask.size;
  const pixels = new Uint8Array(height * width);
  fillRuns(runs, mask.size, pixels, { width, height }, 1);
  return pixels;
}

/**
 * Fill a mask into a picture of labels that may be smaller or larger than the mask's image.
 *
 * A pixel belongs to the mask if its centre does. The cost follows the runs and the pixels filled.
 * @param {Uint32Array} runs As `readRuns` gives them.
 * @param {[number, number]} size [height, width] of the mask's image.
 * @param {Uint8Array | Uint16Array} labels Row by row.
 * @param {{width: number, height: number}} picture Size of the picture of labels.
 * @param {number} label
 */
export function fillRuns(runs, size, labels, picture, label) {
  const [height, width] = size;
  const across = picture.width / width;
  const down = picture.height / height;
  for (let number = 0; number + 1 < runs.length; number += 2) {
    const end = runs[number + 1];
    // A run that leaves the last row of a column goes on in the next one.
    for (let begin = runs[number]; begin < end; ) {
      const column = Math.floor(begin / height);
      const stop = Math.min(end, (column + 1) * height);
      const left = firstCentre(column * across);
      const right = firstCentre((column + 1) * across);
      if (left < right) {
        const top = firstCentre((begin - column * height) * down);
        const bottom = firstCentre((stop - column * height) * down);
        for (let y = top; y < bottom; y += 1) {
          for (let x = left; x < right; x += 1) labels[y * picture.width + x] = label;
        }
      }
      begin = stop;
    }
  }
}

/**
 * Return the first pixel whose centre does not lie before a place.
 * @param {number} place
 */
function firstCentre(place) {
  return Math.ceil(place - 0.5);
}
