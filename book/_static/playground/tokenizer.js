/**
 * Byte-level byte-pair encoding, id for id as Python's `tokenizers` has it. It reads the very file that lmcore
 * writes, and the classes of characters that the library's regular expressions know: a browser's own tables
 * of letters belong to another version of Unicode.
 */

import { ReaderError } from "./errors.js";

const utf8 = new TextEncoder();

/** The 256 visible characters that stand for bytes in the file: printable ones for themselves (GPT-2). */
function byteCharacters() {
  const printable = (byte) => (byte > 32 && byte < 127) || (byte > 160 && byte < 256 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}

/** [first, last, first, last, ...] as the inside of a character class. @param {number[]} ranges */
function inClass(ranges) {
  return ranges.map((code, i) => `${i % 2 ? "-" : ""}\\u{${code.toString(16)}}`).join("");
}

/** The regular expression that cuts a text into words before anything is merged. */
function wordPattern({ letters, numbers, blanks }) {
  const [L, N, S] = [letters, numbers, blanks].map(inClass);
  const other = `[^${S}${L}${N}]`;
  return new RegExp(`'s|'t|'re|'ve|'m|'ll|'d| ?[${L}]+| ?[${N}]+| ?${other}+|[${S}]+(?![^${S}])|[${S}]+`, "gu");
}

/** As lmcore says it, and where it says it. @param {string} text */
function checkText(text) {
  const characters = [...text]; // halves of pairs stand alone here
  const place = characters.findIndex((character) => /^[\ud800-\udfff]$/.test(character));
  if (place < 0) return;
  const half = `\\u${characters[place].charCodeAt(0).toString(16)}`;
  throw new ReaderError(`the text holds '${half}' at character ${place}: not UTF-8, or half of a surrogate pair`);
}

export class Tokenizer {
  /**
   * @param {any} file what `lmcore.Tokenizer.save` writes, for kind "bpe"
   * @param {{letters: number[], numbers: number[], blanks: number[]}} classes ranges of code points
   */
  constructor(file, classes) {
    const { vocab, merges } = file.backend.model;
    this.padId = file.pad_id;
    this.bosId = file.bos_id;
    this.eosId = file.eos_id;
    this.special = new Set([file.pad_id, file.unk_id, file.bos_id, file.eos_id]);
    this.words = wordPattern(classes);
    this.names = []; // by id
    for (const [name, id] of Object.entries(vocab)) this.names[id] = name;
    const characters = byteCharacters();
    this.byteIds = characters.map((character) => vocab[character]);
    const byteOf = new Map(characters.map((character, byte) => [character, byte]));
    this.bytes = this.names.map((name, id) =>
      Uint8Array.from(this.special.has(id) ? [] : [...name], (character) => byteOf.get(character)),
    );
    this.merges = new Map(); // of a pair of ids: how early it was learned, and what it becomes
    merges.forEach(([left, right], rank) => {
      this.merges.set(this.pairKey(vocab[left], vocab[right]), { rank, id: vocab[left + right] });
    });
  }

  get vocabSize() {
    return this.names.length;
  }

  /** Ids that have no text and are never drawn: all special ones but <eos>. @returns {number[]} */
  get never() {
    return [...this.special].filter((id) => id !== this.eosId);
  }

  /** Token ids of a text, without special tokens; throws ReaderError for half of a surrogate pair. */
  encode(text) {
    checkText(text);
    return Array.from(text.matchAll(this.words), ([word]) => this.merged(utf8.encode(word))).flat();
  }

  /** The text of ids; special tokens give none, broken UTF-8 gives the replacement character. */
  decode(ids) {
    const bytes = Uint8Array.from(Array.from(ids, (id) => [...this.bytes[id]]).flat());
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  }

  /** One token by itself, to look at: a name, a text, or bytes that are only a part of a character. */
  label(id) {
    if (this.special.has(id)) return this.names[id];
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.bytes[id]);
    } catch {
      return Array.from(this.bytes[id], (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
    }
  }

  pairKey(left, right) {
    return left * this.names.length + right;
  }

  /** The bytes of one word, merged pair by pair: the earliest-learned merge first, then the leftmost. */
  merged(bytes) {
    const ids = Array.from(bytes, (byte) => this.byteIds[byte]);
    for (;;) {
      let best = null;
      let at = 0;
      for (let i = 0; i + 1 < ids.length; i++) {
        const merge = this.merges.get(this.pairKey(ids[i], ids[i + 1]));
        if (merge && (!best || merge.rank < best.rank)) [best, at] = [merge, i];
      }
      if (!best) return ids;
      ids.splice(at, 2, best.id);
    }
  }
}
