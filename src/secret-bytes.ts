// Memory for what is wiped later. V8 keeps arrays of up to 64 bytes inside its own heap, and its collector copies
// them from place to place without wiping where they were: fill(0) then reaches the last copy only. The memory of
// a separate ArrayBuffer never moves.

/** Zeros, outside V8's heap and Node's shared pool: wiping them wipes the only copy. */
export function secretBytes(length: number): Buffer {
  return Buffer.from(new ArrayBuffer(length))
}

/** A copy in such memory. What it is made of stays for the caller to wipe. */
export function secretCopy(bytes: ArrayLike<number>): Buffer {
  const copy = secretBytes(bytes.length)
  copy.set(bytes)
  return copy
}
