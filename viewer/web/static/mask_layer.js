/** Masks as one translucent layer over a picture: soft inside, crisp at the contour. */

import { fillRuns, readRuns } from './run_lengths.js';

/** @import {Instance} from './types.js' */
/** @import {Color} from './colors.js' */

const INSIDE = 0.42;
const CONTOUR = 0.95;

/**
 * @typedef {object} Area Pixels of the layer that are painted: from `left`, `top` on.
 * @property {number} left
 * @property {number} top
 * @property {number} right
 * @property {number} bottom
 */

/** Paints the masks of one frame after the other into the same memory. */
export class MaskLayer {
  constructor() {
    this.width = 0;
    this.height = 0;
    this._labels = new Uint16Array(0);
    this._pixels = new Uint32Array(0);
  }

  /** The layer as it was painted, for `ImageData`: RGBA, row by row. */
  get bytes() {
    return new Uint8ClampedArray(/** @type {ArrayBuffer} */ (this._pixels.buffer));
  }

  /**
   * Paint the masks of a frame.
   * @param {Instance[]} instances
   * @param {Color[]} colors Of each of them.
   * @param {{width: number, height: number}} size Of the layer.
   * @returns {Area | null} What is painted; null where nothing is.
   */
  paint(instances, colors, size) {
    this._clear(size);
    /** @type {Area | null} */
    let painted = null;
    instances.forEach((instance, number) => {
      const runs = readRuns(instance.mask);
      if (!runs) return; // malformed: the picture and the other objects are still true
      fillRuns(runs, instance.mask.size, this._labels, this, number + 1);
    });
    instances.forEach((instance, number) => {
      const area = this._area(instance);
      if (area.left >= area.right || area.top >= area.bottom) return;
      this._colour(area, number + 1, colors[number]);
      painted = painted ? union(painted, area) : area;
    });
    return painted && widened(painted, this);
  }

  /** @param {{width: number, height: number}} size */
  _clear(size) {
    if (this.width === size.width && this.height === size.height) {
      this._labels.fill(0);
      this._pixels.fill(0);
      return;
    }
    this.width = size.width;
    this.height = size.height;
    this._labels = new Uint16Array(size.width * size.height);
    this._pixels = new Uint32Array(size.width * size.height);
  }

  /**
   * @param {Instance} instance
   * @returns {Area}
   */
  _area({ box: [x, y, width, height], mask: { size } }) {
    const across = this.width / size[1];
    const down = this.height / size[0];
    return {
      left: Math.max(0, Math.floor(x * across)),
      top: Math.max(0, Math.floor(y * down)),
      right: Math.min(this.width, Math.ceil((x + width) * across)),
      bottom: Math.min(this.height, Math.ceil((y + height) * down)),
    };
  }

  /**
   * @param {Area} area
   * @param {number} label
   * @param {Color} color
   */
  _colour(area, label, color) {
    const inside = packed(color, INSIDE);
    const contour = packed(color, CONTOUR);
    const thickness = Math.max(1, Math.round(Math.min(this.width, this.height) / 400));
    for (let y = area.top; y < area.bottom; y += 1) {
      const row = y * this.width;
      for (let x = area.left; x < area.right; x += 1) {
        if (this._labels[row + x] !== label) continue;
        this._pixels[row + x] = this._edge(x, y, label, thickness) ? contour : inside;
      }
    }
  }

  /**
   * Whether a pixel of an object lies that near to its end; the picture's border ends it, too.
   * @param {number} x
   * @param {number} y
   * @param {number} label
   * @param {number} thickness
   */
  _edge(x, y, label, thickness) {
    const { width, height, _labels: labels } = this;
    const place = y * width + x;
    return (
      x < thickness ||
      y < thickness ||
      x >= width - thickness ||
      y >= height - thickness ||
      labels[place - thickness] !== label ||
      labels[place + thickness] !== label ||
      labels[place - thickness * width] !== label ||
      labels[place + thickness * width] !== label
    );
  }
}

/**
 * @param {Area} one
 * @param {Area} other
 * @returns {Area}
 */
function union(one, other) {
  return {
    left: Math.min(one.left, other.left),
    top: Math.min(one.top, other.top),
    right: Math.max(one.right, other.right),
    bottom: Math.max(one.bottom, other.bottom),
  };
}

/**
 * A transparent pixel around, where there is room: enlarged, the border is soft as well.
 * @param {Area} area
 * @param {{width: number, height: number}} size
 * @returns {Area}
 */
function widened({ left, top, right, bottom }, size) {
  return {
    left: Math.max(0, left - 1),
    top: Math.max(0, top - 1),
    right: Math.min(size.width, right + 1),
    bottom: Math.min(size.height, bottom + 1),
  };
}

/**
 * Return a pixel as memory holds it on every machine that runs browsers: little-endian RGBA.
 * @param {Color} color
 * @param {number} opacity 0..1.
 */
function packed([red, green, blue], opacity) {
  return ((Math.round(opacity * 255) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
