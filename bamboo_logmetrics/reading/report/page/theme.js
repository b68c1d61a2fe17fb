// Light and dark: as the system has it, until a button chooses. Print is always light.

const THEMES = ["auto", "light", "dark"];

function storedTheme() {
  try {
    return localStorage.getItem("bamboo-report-theme");
  } catch {
    return null; // a file may have no storage
  }
}

function setTheme(theme) {
  if (theme === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", theme);
  const button = byId("theme");
  button.textContent = "Theme: " + theme;
  button.dataset.theme = theme;
  button.setAttribute("aria-label", "Theme: " + theme + ". Choose the next one");
}

function listenToTheme(draw) {
  setTheme(THEMES.includes(storedTheme()) ? storedTheme() : "auto");
  byId("theme").addEventListener("click", () => {
    const theme = THEMES[(THEMES.indexOf(byId("theme").dataset.theme) + 1) % THEMES.length];
    try {
      localStorage.setItem("bamboo-report-theme", theme);
    } catch {
      // it holds for as long as the page is open
    }
    setTheme(theme);
    draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  byId("print").addEventListener("click", () => window.print());
  let before = "auto";
  window.addEventListener("beforeprint", () => {
    before = byId("theme").dataset.theme;
    setTheme("light");
    draw();
  });
  window.addEventListener("afterprint", () => {
    setTheme(before);
    draw();
  });
}
