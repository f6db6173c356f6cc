// What scrolls sideways can be reached with the keyboard; the theme sees to code, this to formulas and tables.
const SIDEWAYS = "article mjx-container[display='true'], article table";

function reachable() {
  for (const element of document.querySelectorAll(SIDEWAYS)) {
    if (element.scrollWidth > element.clientWidth) element.tabIndex = 0;
    else element.removeAttribute("tabindex");
  }
}

addEventListener("load", () => Promise.resolve(window.MathJax?.startup?.promise).then(reachable));
addEventListener("resize", reachable);
