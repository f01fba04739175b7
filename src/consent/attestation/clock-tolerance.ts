/** How far the clocks of a platform and of a participant may differ. */
export const CLOCK_TOLERANCE_SECONDS = 60
