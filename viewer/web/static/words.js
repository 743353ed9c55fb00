/** What the page says of a camera, in words. Pure: times come in. */

/** @import {Camera, Drawn, LinkState} from './types.js' */

/**
 * @typedef {object} Situation What is known besides the camera itself.
 * @property {LinkState} link
 * @property {'ok' | 'away'} redis
 * @property {number} nowMs The server's time.
 * @property {number} openMs Since when the connection is open and the page is seen.
 * @property {Intl.DateTimeFormat} clock Of the site's zone, time of day.
 * @property {Intl.DateTimeFormat} day Of the site's zone, day and month.
 *
 * @typedef {'live' | 'late' | 'offline' | 'waiting'} Level
 *
 * @typedef {object} Words
 * @property {Level} level How it is shown; the text says as much.
 * @property {string} text
 * @property {string} detail The short form beside it; empty where the text says all.
 */

/** A picture is late when it is older than this, or than three intervals of its camera. */
const LATE_MS = 3000;

/**
 * Tell the state of a camera and the age of the picture that stands on the screen.
 * @param {Camera} camera
 * @param {Drawn | undefined} picture
 * @param {Situation} now
 * @param {number} [shownMs] Since when it is shown: of a camera that nobody watched, an old picture
 *   comes first, which is not late.
 * @returns {Words}
 */
export function cameraWords(camera, picture, now, shownMs = 0) {
  const lastMs = picture?.capturedMs ?? (camera.seen === null ? null : camera.seen * 1000);
  const last = lastMs === null ? 'no picture yet' : `last picture ${pastWords(lastMs, now)}`;
  if (now.link !== 'open') return { level: 'late', text: capital(last), detail: '' };
  if (now.redis === 'away') return { level: 'late', text: capital(last), detail: '' };
  if (camera.state === 'waiting') {
    return { level: 'waiting', text: 'Waiting for the first picture', detail: '' };
  }
  if (camera.state === 'offline') return { level: 'offline', text: `Offline, ${last}`, detail: '' };
  if (!picture) return { level: 'waiting', text: 'Picture on its way', detail: '' };
  const ageMs = Math.max(0, now.nowMs - picture.capturedMs);
  const rate = camera.fps === null ? '' : `${camera.fps.toFixed(1)} fps`;
  const bound = Math.max(LATE_MS, 3000 * (camera.interval ?? 0));
  if (ageMs > bound && now.nowMs - Math.max(shownMs, now.openMs) > bound) {
    return { level: 'late', text: `Late, ${last}`, detail: rate };
  }
  return { level: 'live', text: rate || 'Live', detail: spanWords(ageMs) };
}

/**
 * Return when something was and how long ago: "14:03:12, 12 s ago".
 * @param {number} thenMs
 * @param {Situation} now
 */
export function pastWords(thenMs, now) {
  const day = now.day.format(thenMs);
  const when = day === now.day.format(now.nowMs) ? '' : `${day} `;
  return `${when}${now.clock.format(thenMs)}, ${spanWords(now.nowMs - thenMs, true)} ago`;
}

/**
 * Return a span of time: "0.3 s", "12 s", "4 min", "2 h 5 min", "3 days".
 * @param {number} spanMs
 * @param {boolean} [whole] Whether whole seconds are enough.
 */
export function spanWords(spanMs, whole = false) {
  const seconds = Math.max(0, spanMs) / 1000;
  if (seconds < 9.95 && !whole) return `${seconds.toFixed(1)} s`;
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} days`;
}

/**
 * Return how many objects of each class: "3 person, 1 vehicle"; "nothing" where there is none.
 * @param {Record<string, number>} counts
 */
export function countWords(counts) {
  const parts = Object.entries(counts).sort(([one], [other]) => (one < other ? -1 : 1));
  return parts.map(([name, count]) => `${count} ${name}`).join(', ') || 'nothing';
}

/**
 * Return what stands between the page and true pictures; empty while nothing does.
 * @param {LinkState} link
 * @param {'ok' | 'away'} redis
 * @param {string | null} reason
 */
export function troubleWords(link, redis, reason) {
  if (link === 'lost') return 'Connection to the viewer lost, trying again.';
  if (link === 'login') return 'Your session has ended. Please sign in again.';
  if (redis === 'away') return `Redis is away, trying again.${reason ? ` ${sentence(reason)}` : ''}`;
  return '';
}

/**
 * Return words of the server as a sentence.
 * @param {string} text
 */
export function sentence(text) {
  return capital(text.endsWith('.') ? text : `${text}.`);
}

/** @param {string} text */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * @param {string} lane
 * @returns {string} What tells this page from that of another lane; nothing where there is one.
 */
export function laneWords(lane) {
  return lane === 'main' ? '' : `Lane ${lane}`;
}
