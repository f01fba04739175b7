// Units of time. Signed documents have seconds, as mcbn/1 fixed them; all else has milliseconds. A name
// has one unit throughout: test/structure reads these types to see to it.

/** A moment: milliseconds since 1970-01-01T00:00:00Z. */
export type UnixMilliseconds = number

/** A moment in a signed document: whole seconds since 1970-01-01T00:00:00Z. */
export type UnixSeconds = number

/** A moment by a stopwatch: milliseconds since it was started. */
export type ElapsedMilliseconds = number

/** A duration in a document or on the wire, in seconds. */
export type Seconds = number

/** A moment of a signed document for everything else. */
export function fromUnixSeconds(seconds: UnixSeconds): UnixMilliseconds {
  return seconds * 1000
}

/** A moment for a signed document, rounded down. */
export function toUnixSeconds(milliseconds: UnixMilliseconds): UnixSeconds {
  return Math.floor(milliseconds / 1000)
}
