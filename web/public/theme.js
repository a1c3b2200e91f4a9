// Before the first paint: the theme that the reader has chosen, if any. A file of its own, as the page allows no inline script.
try {
  const theme = localStorage.getItem("clew.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // storage is off: the system's theme
}
