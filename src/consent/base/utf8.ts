/** Throws for what is not UTF-8. One for all: it keeps nothing from one text to the next, also when it has thrown. */
export const UTF_8 = new TextDecoder('utf-8', { fatal: true })
