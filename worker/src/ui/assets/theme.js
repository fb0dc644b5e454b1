// Applies the remembered choice of light or dark before anything is painted. A classic script: modules come too late.
// In: localStorage `theme`. Out: `data-theme` of the document; none follows the system.
(() => {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
