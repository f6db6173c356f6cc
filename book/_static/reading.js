// What scrolls sideways can be reached with the keyboard; the theme sees to code, this to formulas and tables.
const SIDEWAYS = "article mjx-container[display='true'], article table";

function reachable() {
  for (const element of document.querySelectorAll(SIDEWAYS)) {
    if (element.scrollWidth > element.clientWidth) element.tabIndex = 0;
    else element.removeAttribute("tabindex");
  }
}

// On the first page: the texts of a network that learns, one at a time, behind a slider, and its place on the curve.
function behindSlider(list) {
  const texts = [...list.children];
  const moments = document.querySelectorAll(".learning-curve .moment");
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: texts.length - 1, value: 0 });
  slider.setAttribute("aria-label", "Moment of the training");
  const show = () => {
    texts.forEach((text, place) => { text.hidden = place !== Number(slider.value); });
    moments.forEach((moment, place) => { moment.classList.toggle("now", place === Number(slider.value)); });
    slider.setAttribute("aria-valuetext", texts[slider.value].querySelector("strong").textContent);
  };
  slider.addEventListener("input", show);
  list.before(slider);
  show();
}

// The theme's menu is no landmark, and the arrow that opens a part of it has no name.
function named() {
  const menu = document.querySelector("#pst-primary-sidebar");
  menu?.setAttribute("role", "complementary");
  menu?.setAttribute("aria-label", "Menu");
  for (const arrow of document.querySelectorAll("summary:has(.toctree-toggle)")) {
    arrow.setAttribute("aria-label", `Pages of: ${arrow.parentElement.previousElementSibling.textContent}`);
  }
}

// The theme takes the focus from a button that was pressed; who pressed it with a key still needs it there.
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (event.detail === 0) button.blur = () => {};
  else delete button.blur;
}, true);

named();
document.querySelectorAll(".learning ul").forEach(behindSlider);
addEventListener("load", () => Promise.resolve(window.MathJax?.startup?.promise).then(reachable));
addEventListener("resize", reachable);
