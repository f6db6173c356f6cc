/** Something to tell the reader: the message is a sentence in plain words, shown as it is. */
export class ReaderError extends Error {}
