// Whether a figure that goes up and down has a trend.

/** What a straight line through the values gains from the first to the last, over its first value (least squares). */
export function growth(values: readonly number[]): number {
  const middle = (values.length - 1) / 2
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  let above = 0
  let below = 0
  for (const [at, value] of values.entries()) {
    above += (at - middle) * (value - mean)
    below += (at - middle) ** 2
  }
  const slope = below === 0 ? 0 : above / below
  const first = mean - slope * middle
  return first <= 0 ? 0 : (slope * (values.length - 1)) / first
}
