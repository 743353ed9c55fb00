/** One canvas of a camera: its picture with what the result says drawn over it. */

import { ColorMemory, css, inkOn, trackColor, trackLabel } from './colors.js';
import { fitted } from './fit.js';
import { placeLabels } from './label_places.js';
import { MaskLayer } from './mask_layer.js';
import { TrailMemory } from './trails.js';

/** @import {Color} from './colors.js' */
/** @import {Kept} from './picture_shelf.js' */
/** @import {Instance, Look, Result} from './types.js' */
/** @typedef {OffscreenCanvasRenderingContext2D | CanvasRenderingContext2D} Pen */
/** @import {Size} from './fit.js' */

/** Pictures that are narrower, in CSS pixels, have brief labels. */
const SMALL = 520;

/** One layer for all surfaces, painted and used within one call. */
const layer = new MaskLayer();
/** @type {HTMLCanvasElement | OffscreenCanvas | undefined} */
let sheet;

/** @type {Look} */
export const PLAIN_LOOK = { masks: true, labels: false, trails: false, minScore: 0, hidden: [] };

/** Draws pictures of one camera. */
export class Surface {
  /**
   * @param {string} camera
   * @param {HTMLCanvasElement | OffscreenCanvas} canvas
   * @param {boolean} report Whether whole results are reported of what is drawn.
   */
  constructor(camera, canvas, report) {
    this.camera = camera;
    this.report = report;
    this.paused = false;
    /** Id of the newest picture drawn, so that an older one that took longer does not follow it. */
    this.drawn = 0;
    /** The picture that stands here. @type {Kept | undefined} */
    this.last = undefined;
    this.look = PLAIN_LOOK;
    /** @type {Size} */
    this.room = { width: 0, height: 0 };
    /** Device pixels of a CSS pixel. */
    this.ratio = 1;
    this._canvas = canvas;
    this._pen = /** @type {Pen} */ (canvas.getContext('2d', { alpha: false }));
    this._colors = new ColorMemory();
    this._trails = new TrailMemory();
  }

  /**
   * Draw a picture and what was found in it.
   * @param {ImageBitmap} picture
   * @param {Result} result Of that very picture.
   */
  draw(picture, result) {
    const size = fitted(result, this.room);
    if (this._canvas.width !== size.width || this._canvas.height !== size.height) {
      this._canvas.width = size.width;
      this._canvas.height = size.height;
      this._pen.imageSmoothingQuality = 'medium';
    }
    this._pen.drawImage(picture, 0, 0, size.width, size.height);
    const colors = this._colors.assign(result.instances);
    const trails = this._trails.add(
      Date.parse(result.captured_at) / 1000,
      result.instances,
      `${result.width} x ${result.height}`,
    );
    const shown = result.instances
      .map((instance, place) => ({ instance, color: colors[place] }))
      .filter(({ instance }) => isShown(instance, this.look));
    const tracks = new Set(shown.map(({ instance }) => instance.track));
    const scale = size.width / result.width;
    if (this.look.masks) drawMasks(this._pen, shown, result, size);
    if (this.look.trails) {
      for (const [track, points] of trails) {
        if (tracks.has(track)) drawTrail(this._pen, points, css(trackColor(track)), scale);
      }
    }
    if (this.look.labels) drawLabels(this._pen, shown, scale, size, this.ratio);
  }
}

/**
 * @param {Instance} instance
 * @param {Look} look
 */
export function isShown(instance, look) {
  return instance.score >= look.minScore && !look.hidden.includes(instance.class);
}

/**
 * @param {Pen} pen
 * @param {{instance: Instance, color: Color}[]} shown
 * @param {Size} frame
 * @param {Size} size
 */
function drawMasks(pen, shown, frame, size) {
  // Never finer than the frame: enlarging is smoothed.
  const paper = size.width < frame.width ? size : { width: frame.width, height: frame.height };
  const area = layer.paint(
    shown.map(({ instance }) => instance),
    shown.map(({ color }) => color),
    paper,
  );
  if (!area) return;
  sheet ??= newCanvas();
  if (sheet.width < paper.width) sheet.width = paper.width;
  if (sheet.height < paper.height) sheet.height = paper.height;
  const { left, top } = area;
  const width = area.right - left;
  const height = area.bottom - top;
  const image = new ImageData(layer.bytes, paper.width, paper.height);
  const ink = /** @type {Pen} */ (sheet.getContext('2d'));
  ink.clearRect(0, 0, sheet.width, sheet.height); // smoothing looks over the area's border
  ink.putImageData(image, 0, 0, left, top, width, height);
  const scale = size.width / paper.width;
  const places = [left * scale, top * scale, width * scale, height * scale];
  const [x, y, across, down] = places;
  pen.drawImage(sheet, left, top, width, height, x, y, across, down);
}

/**
 * @param {Pen} pen
 * @param {import('./trails.js').TrailPoint[]} points
 * @param {string} color
 * @param {number} scale
 */
function drawTrail(pen, points, color, scale) {
  pen.strokeStyle = color;
  pen.lineCap = 'round';
  pen.lineWidth = Math.max(1.5, 2.5 * Math.min(scale, 1));
  for (let place = 1; place < points.length; place += 1) {
    const from = points[place - 1];
    const to = points[place];
    pen.globalAlpha = Math.max(0, 0.9 * (1 - from.age));
    pen.beginPath();
    pen.moveTo(from.x * scale, from.y * scale);
    pen.lineTo(to.x * scale, to.y * scale);
    pen.stroke();
  }
  pen.globalAlpha = 1;
}

/**
 * @param {Pen} pen
 * @param {{instance: Instance, color: Color}[]} shown
 * @param {number} scale
 * @param {Size} size
 * @param {number} ratio Device pixels of a CSS pixel.
 */
function drawLabels(pen, shown, scale, size, ratio) {
  const brief = size.width / ratio < SMALL;
  const points = Math.round(Math.max((brief ? 10 : 11) * ratio, Math.min(size.width, size.height) / 48));
  const height = Math.round(points * 1.5);
  pen.font = `500 ${points}px system-ui, sans-serif`;
  pen.textBaseline = 'middle';
  const texts = shown.map(({ instance }) => labelOf(instance, brief));
  const sizes = texts.map((text) => ({
    width: Math.ceil(pen.measureText(text).width) + points,
    height,
  }));
  const boxes = shown.map(
    ({ instance: { box } }) => /** @type {typeof box} */ (box.map((side) => side * scale)),
  );
  placeLabels(boxes, sizes, size).forEach(([x, y], number) => {
    pen.fillStyle = css(shown[number].color);
    pen.beginPath();
    pen.roundRect(x, y, sizes[number].width, height, Math.round(height / 5));
    pen.fill();
    pen.fillStyle = inkOn(shown[number].color);
    pen.fillText(texts[number], x + points / 2, y + height / 2 + 0.5);
  });
}

/**
 * Return what is written above an object: its track, if it has one, and its class, or its score.
 * @param {Instance} instance
 * @param {boolean} brief Whether there is room for one word.
 */
function labelOf({ track, class: name, score }, brief) {
  if (brief) return track === undefined ? name : trackLabel(track);
  return track === undefined ? `${name} ${score.toFixed(2)}` : `${trackLabel(track)} ${name}`;
}

function newCanvas() {
  return typeof OffscreenCanvas === 'undefined'
    ? document.createElement('canvas')
    : new OffscreenCanvas(1, 1);
}
