/**
 * The folder with the models (lmcore/playground.py writes it): each file is fetched once, checked by its SHA-256,
 * and from then on in memory, so that the network may go away.
 */

import { ReaderError } from "./errors.js";
import { NGramModel } from "./ngram.js";
import { RecurrentModel } from "./recurrent.js";
import { checksum } from "./sha256.js";
import { fromHalf } from "./tensors.js";
import { Tokenizer } from "./tokenizer.js";

export const FORMAT = 1; // as in lmcore/playground.py
const MODELS = { recurrent: RecurrentModel, ngram: NGramModel };
const TYPES = { float16: Uint16Array, float32: Float32Array, uint16: Uint16Array };
const ADVICE = "Reload the page; if that does not help, the copy of the book is not whole.";

/** What went wrong with the manifest itself, for the reader. */
const broken = (what) => new ReaderError(`The list of models (manifest.json) ${what}. ${ADVICE}`);

/** @returns {Promise<Uint8Array>} */
async function fetchBytes(url, name) {
  let response;
  try {
    response = await fetch(url, { cache: "no-cache" });
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new ReaderError(`${name} could not be fetched: there is no connection, or it broke off.`);
  }
  throw new ReaderError(`${name} could not be fetched: the server answers with status ${response.status}.`);
}

/** A file that is what the manifest says of it. @param {{file: string, bytes: number, sha256: string}} entry */
async function fetchChecked(base, { file, bytes, sha256 }) {
  const content = await fetchBytes(new URL(file, base), file);
  const damaged = (found) =>
    new ReaderError(`${file} is damaged, or belongs to another version of this page: ${found}. ${ADVICE}`);
  if (content.length !== bytes) throw damaged(`it has ${content.length} bytes, and ${bytes} were expected`);
  const found = await checksum(content);
  if (found === sha256) return content;
  const [begins, expected] = [found, sha256].map((digits) => digits.slice(0, 8));
  throw damaged(`its checksum (SHA-256) begins with ${begins}, and ${expected} was expected`);
}

/** @param {Uint8Array} content @param {{name: string, dtype: string, shape: number[], offset: number}[]} entries */
function tensorsIn(content, entries) {
  const tensors = {};
  for (const { name, dtype, shape, offset } of entries) {
    const size = shape.reduce((a, b) => a * b, 1);
    const raw = new TYPES[dtype](content.buffer, offset, size); // little-endian, as every browser's machine
    tensors[name] = { shape, data: dtype === "float16" ? fromHalf(raw) : raw };
  }
  return tensors;
}

function parsed(content) {
  try {
    return JSON.parse(new TextDecoder().decode(content));
  } catch {
    throw broken("is damaged");
  }
}

export class Library {
  /** @param {URL} base @param {any} manifest @param {Tokenizer} tokenizer */
  constructor(base, manifest, tokenizer) {
    this.base = base;
    this.entries = new Map(manifest.models.map((entry) => [entry.name, entry]));
    this.tokenizer = tokenizer;
    this.loading = new Map();
  }

  /** The manifest and the tokenizer; throws ReaderError. @param {URL} base the folder, with a slash at its end */
  static async open(base) {
    const manifest = parsed(await fetchBytes(new URL("manifest.json", base), "manifest.json"));
    if (manifest?.format !== FORMAT) {
      throw broken(`has format ${manifest?.format}, and this page reads format ${FORMAT}`);
    }
    try {
      const file = parsed(await fetchChecked(base, manifest.tokenizer));
      return new Library(base, manifest, new Tokenizer(file, manifest.tokenizer));
    } catch (error) {
      throw error instanceof ReaderError ? error : broken("is damaged");
    }
  }

  /** What the manifest says of a model; throws ReaderError for a name that it does not know. */
  about(name) {
    const entry = this.entries.get(name);
    if (entry) return entry;
    throw new ReaderError(`There is no model “${name}” here, only ${[...this.entries.keys()].join(", ")}.`);
  }

  /** A model by its name, fetched at most once; after a failure it may be asked for again. */
  load(name) {
    if (!this.loading.has(name)) {
      const model = this.fetchModel(name);
      model.catch(() => this.loading.delete(name));
      this.loading.set(name, model);
    }
    return this.loading.get(name);
  }

  async fetchModel(name) {
    const entry = this.about(name);
    const content = await fetchChecked(this.base, entry);
    try {
      return new MODELS[entry.kind](entry.config, tensorsIn(content, entry.tensors));
    } catch (error) {
      throw error instanceof ReaderError ? error : broken(`does not fit ${entry.file}`);
    }
  }
}

const libraries = new Map();

/** The library of a folder; widgets of one page share it. @param {URL} base @returns {Promise<Library>} */
export function openLibrary(base) {
  if (!libraries.has(base.href)) {
    const library = Library.open(base);
    library.catch(() => libraries.delete(base.href));
    libraries.set(base.href, library);
  }
  return libraries.get(base.href);
}
