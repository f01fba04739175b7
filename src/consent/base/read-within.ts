// What comes in pieces and from others, as a whole: a request's body, an answer's, a pipe's.

/** Reads to the end. @returns `undefined`, and reads no further, once there are more bytes than so many. */
export async function readWithin(
  source: AsyncIterable<Uint8Array>,
  mostBytes: number,
): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of source) {
    length += chunk.length
    if (length > mostBytes) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** The same of a body of the Fetch standard, which may not be there. */
export async function bodyWithin(
  { body }: Pick<Response, 'body'>,
  mostBytes: number,
): Promise<Buffer | undefined> {
  return body ? await readWithin(body, mostBytes) : Buffer.alloc(0)
}
