/** The newest picture of a camera in its full size, drawn by the server. */

import { element } from './dom.js';
import { ask, RequestError } from './requests.js';

/**
 * Show it; where the full size cannot be had, say why and show the preview.
 * @param {string} camera
 */
export async function openStill(camera) {
  const address = `cameras/${encodeURIComponent(camera)}/still.jpg`;
  const note = element('p', { class: 'dim', role: 'status', text: 'Fetching the frame' });
  const picture = element('div', { class: 'still' });
  const links = element('p', { class: 'line' });
  const sheet = element(
    'dialog',
    { class: 'sheet wide', 'aria-label': `Still of ${camera}` },
    element('h2', { text: `Still of ${camera}` }),
    note,
    picture,
    element(
      'form',
      { method: 'dialog', class: 'line' },
      element('button', { class: 'button', text: 'Close' }),
      links,
    ),
  );
  document.body.append(sheet);
  sheet.showModal();
  /** @type {string[]} */
  const urls = [];
  sheet.addEventListener('close', () => {
    sheet.remove();
    for (const url of urls) URL.revokeObjectURL(url);
  });
  let blob;
  try {
    blob = await fullOrPreview(address, note);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    note.textContent = error.message;
    return;
  }
  const url = URL.createObjectURL(blob);
  urls.push(url);
  const image = element('img', { src: url, alt: `The newest picture of ${camera} with its masks` });
  image.addEventListener('load', () => {
    note.append(` ${image.naturalWidth} × ${image.naturalHeight} pixels.`);
  });
  picture.append(image);
  links.append(element('a', { href: url, download: `${camera}.jpg`, text: 'Save' }));
}

/**
 * @param {string} address
 * @param {HTMLElement} note
 */
async function fullOrPreview(address, note) {
  try {
    const blob = await (await ask(`${address}?full=1`)).blob();
    note.textContent = 'The frame as it was captured.';
    return blob;
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    const blob = await (await ask(address)).blob();
    note.textContent = `${error.message} This is the preview.`;
    return blob;
  }
}
