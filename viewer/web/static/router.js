/** Addresses within the page: `#/`, `#/camera/ID`, `#/system`, each with a query. Pure. */

/**
 * @typedef {object} Place
 * @property {'wall' | 'camera' | 'system'} view
 * @property {string} camera Empty unless the view is of a camera.
 * @property {URLSearchParams} query
 */

/**
 * Read the part of the address after `#`.
 * @param {string} hash
 * @returns {Place}
 */
export function readPlace(hash) {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [view, ...rest] = path.split('/');
  const place = { camera: '', query: new URLSearchParams(query) };
  if (view === 'system') return { ...place, view: 'system' };
  if (view === 'camera' && rest.join('/')) {
    return { ...place, view: 'camera', camera: decoded(rest.join('/')) };
  }
  return { ...place, view: 'wall' };
}

/**
 * Return the address of a camera's page.
 * @param {string} camera
 */
export function cameraAddress(camera) {
  return `#/camera/${encodeURIComponent(camera)}`;
}

/**
 * Return the address of the wall, or of a part of it.
 * @param {Record<string, string>} query Empty values are left out.
 */
export function wallAddress(query) {
  const kept = Object.entries(query).filter(([, value]) => value);
  return kept.length ? `#/?${new URLSearchParams(kept)}` : '#/';
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // written by hand
  }
}
