/** What this browser's user chose, kept on this machine. */

/** @import {Look} from './types.js' */

const LOOK = 'seedstream.look';
const THEME = 'seedstream.theme';

/** @typedef {'system' | 'light' | 'dark'} Theme */

/** @returns {Pick<Look, 'masks' | 'labels' | 'trails' | 'minScore'>} */
export function chosenLook() {
  const usual = { masks: true, labels: true, trails: true, minScore: 0 };
  try {
    const kept = JSON.parse(localStorage.getItem(LOOK) ?? '{}');
    return {
      masks: typeof kept.masks === 'boolean' ? kept.masks : usual.masks,
      labels: typeof kept.labels === 'boolean' ? kept.labels : usual.labels,
      trails: typeof kept.trails === 'boolean' ? kept.trails : usual.trails,
      minScore: kept.minScore >= 0 && kept.minScore <= 1 ? kept.minScore : usual.minScore,
    };
  } catch {
    return usual; // somebody else's text
  }
}

/** @param {Look} look */
export function keepLook({ masks, labels, trails, minScore }) {
  localStorage.setItem(LOOK, JSON.stringify({ masks, labels, trails, minScore }));
}

/** @returns {Theme} */
export function chosenTheme() {
  const kept = localStorage.getItem(THEME);
  return kept === 'light' || kept === 'dark' ? kept : 'system';
}

/** @param {Theme} theme */
export function keepTheme(theme) {
  const root = document.documentElement;
  if (theme === 'system') {
    localStorage.removeItem(THEME);
    delete root.dataset.theme;
  } else {
    localStorage.setItem(THEME, theme);
    root.dataset.theme = theme;
  }
}
