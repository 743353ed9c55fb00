/* Before anything is painted: the theme that was chosen here, else that of the system. No module. */
'use strict';
{
  const chosen = localStorage.getItem('seedstream.theme');
  if (chosen === 'dark' || chosen === 'light') document.documentElement.dataset.theme = chosen;
}
