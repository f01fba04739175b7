// Of rate-limiter-flexible only what counts in memory. Its entry requires the clients of a dozen databases and
// modules of Node, which a bundle of ES modules cannot do.

import MemoryLimiter from 'rate-limiter-flexible/lib/RateLimiterMemory.js'
import LimiterResult from 'rate-limiter-flexible/lib/RateLimiterRes.js'

export { LimiterResult as RateLimiterRes, MemoryLimiter as RateLimiterMemory }
