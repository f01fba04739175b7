/** True while `npm run check:native` runs the suite on a sanitized addon: figures then mean nothing. */
export const sanitized = process.env['MCBN_SANITIZED'] !== undefined

/** How many times slower this run may be than a plain one; multiplies every waiting time. */
export const slowdown = Number(process.env['MCBN_TEST_SLOWDOWN'] ?? 1)
