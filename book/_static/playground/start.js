/** Starts every playground of the page; the models lie beside this file, wherever the book is served from. */

import { Widget } from "./widget.js";

const models = new URL("./models/", import.meta.url);
for (const root of document.querySelectorAll(".playground")) new Widget(root, models).start();
