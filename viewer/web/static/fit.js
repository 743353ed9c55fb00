/** Sizes: how many tiles stand side by side, and how large a picture is in its room. Pure. */

/** @typedef {{width: number, height: number}} Size */

/**
 * @typedef {object} Room
 * @property {number} width CSS pixels.
 * @property {number} height
 * @property {number} gap Between tiles.
 * @property {number} caption Height below each picture.
 * @property {number} aspect Width / height of the pictures.
 * @property {number} minWidth A tile that is narrower shows nothing: then the wall scrolls.
 * @property {number} usualWidth Of a tile, at least, on a wall that scrolls.
 */

/**
 * Return the columns with the largest tiles that fit; where none is large enough, tiles of the
 * usual width, which scroll.
 * @param {number} count
 * @param {Room} room
 * @returns {{columns: number, tile: number}} `tile` is a tile's width in CSS pixels.
 */
export function fitGrid(count, room) {
  let best = { columns: 1, tile: 0 };
  for (let columns = 1; columns <= Math.max(1, count); columns += 1) {
    const across = widthOf(columns, room);
    const rows = Math.ceil(count / columns);
    const high = (room.height - room.gap * (rows - 1)) / Math.max(1, rows) - room.caption;
    const tile = Math.floor(Math.min(across, high * room.aspect));
    if (tile > best.tile) best = { columns, tile };
    if (across < room.minWidth) break;
  }
  if (best.tile >= room.minWidth) return best;
  const columns = Math.max(1, Math.floor((room.width + room.gap) / (room.usualWidth + room.gap)));
  const chosen = Math.min(columns, Math.max(1, count));
  return { columns: chosen, tile: Math.floor(widthOf(chosen, room)) };
}

/**
 * @param {number} columns
 * @param {Room} room
 */
function widthOf(columns, { width, gap }) {
  return (width - gap * (columns - 1)) / columns;
}

/**
 * Return the size of a picture that fits a room; at least a pixel.
 * @param {Size} frame
 * @param {Size} room Device pixels; 0 x 0 while it is unknown.
 * @returns {Size}
 */
export function fitted(frame, room) {
  const scale = Math.min(room.width / frame.width, room.height / frame.height) || 0.5;
  return {
    width: Math.max(1, Math.round(frame.width * scale)),
    height: Math.max(1, Math.round(frame.height * scale)),
  };
}

/**
 * Return the rows of a list that are near the screen, the last one not included.
 * @param {number} above How far the list's top lies above the screen's, in CSS pixels.
 * @param {number} screen Height.
 * @param {number} margin Beyond the screen, in screens.
 * @param {number} row From row to row.
 * @param {number} rows
 */
export function rowsNear(above, screen, margin, row, rows) {
  const first = Math.floor((above - margin * screen) / row);
  const last = Math.ceil((above + (1 + margin) * screen) / row);
  return { first: clamp(first, rows), last: clamp(last, rows) };
}

/**
 * @param {number} value
 * @param {number} most
 */
function clamp(value, most) {
  return Math.min(Math.max(0, value), most);
}
