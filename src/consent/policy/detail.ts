// How a refusal is worded in the participant's own log.

export function expected(claim: string, wanted: string, got: unknown): string {
  return `${claim}: expected ${wanted}, got ${got === undefined ? 'nothing' : quote(got)}`
}

/** JSON, so that no text can break out of the sentence; short, since a stranger may have written it. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? typeof value
  return text.length > 120 ? `${text.slice(0, 119)}…` : text
}
