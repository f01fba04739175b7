// Help texts as wide as the terminal: paragraphs are written in the sources at any width, and broken here.

/** The narrowest and widest lines of help, in columns. */
const NARROWEST = 40
const WIDEST = 100
/** Where nothing says how wide the terminal is. */
const USUAL = 80

/** Columns for help on this stream. */
export function helpColumns({
  columns = USUAL,
}: {
  readonly columns?: number | undefined
}): number {
  return Math.min(WIDEST, Math.max(NARROWEST, columns))
}

/**
 * Breaks the text anew: unindented lines that follow each other are one paragraph; an indented line that
 * is too long goes on below its own text. Commands to be typed stay as they are.
 */
export function fitHelp(text: string, columns: number): string {
  const out: string[] = []
  let paragraph: string[] = []
  const endParagraph = (): void => {
    if (paragraph.length > 0) out.push(...wrap(paragraph.join(' '), '', '', columns))
    paragraph = []
  }
  for (const line of text.split('\n')) {
    if (/^\S/.test(line)) {
      paragraph.push(line)
      // A heading of a list stands alone.
      if (line.endsWith(':')) endParagraph()
      continue
    }
    endParagraph()
    out.push(...(line.length <= columns || isTyped(line) ? [line] : hanging(line, columns)))
  }
  endParagraph()
  return out.join('\n')
}

/** A line to be typed, or one that goes on with it. */
function isTyped(line: string): boolean {
  return /^\s+(mcbn|echo|mkdir|node|npx|--)/.test(line)
}

function hanging(line: string, columns: number): string[] {
  const [, first = '', rest = ''] = /^(\s*(?:\S+(?: \S+)*? {2,})?)(.*)$/.exec(line) ?? []
  return wrap(rest, first, ' '.repeat(first.length), columns)
}

function wrap(text: string, first: string, indent: string, columns: number): string[] {
  const lines: string[] = []
  let line = first
  for (const word of text.split(/ +/)) {
    const start = lines.length === 0 ? first : indent
    const joined = line === start ? line + word : `${line} ${word}`
    if (joined.length <= columns || line === start) line = joined
    else {
      lines.push(line)
      line = indent + word
    }
  }
  return [...lines, line]
}
