// The key of the one who is known: 32 bytes, as derivePsk makes them, and as the key that stands in for none.

export const FULL_KEY = Buffer.alloc(32, 0x5a)
