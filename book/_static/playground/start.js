/**
 * Starts each playground of the page shortly before it comes into view, so that who does not read that far
 * fetches no model. The models lie beside this file, wherever the book is served from.
 */

import { Widget } from "./widget.js";

const models = new URL("./models/", import.meta.url);
const AHEAD = "400px 0px";

const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      new Widget(target, models).start();
    }
  },
  { rootMargin: AHEAD },
);
for (const root of document.querySelectorAll(".playground")) watcher.observe(root);
