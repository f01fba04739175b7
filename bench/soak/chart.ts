// The samples of a soak as one picture: a panel for each unit, a line for each figure.

export interface Curve {
  /** Its last word is the unit: "server MB", or after a hyphen: "tls-p99-us". */
  readonly name: string
  readonly values: readonly number[]
}

const WIDTH = 880
const LEFT = 60
const RIGHT = 190
const PANEL = 150
const GAP = 34
const COLOURS = ['#0969da', '#bf3989', '#1a7f37', '#9a6700', '#8250df']
const PANELS: readonly (readonly [unit: string, title: string])[] = [
  ['MB', 'memory, MB'],
  ['fds', 'open file descriptors'],
  ['threads', 'threads'],
  ['us', 'echo, microseconds'],
]

/** An SVG. Every panel begins at 0. */
export function soakChart(curves: readonly Curve[], minutes: number): string {
  const panels = PANELS.map(([unit, title], at) => {
    const shown = curves.filter(({ name }) => name.endsWith(unit))
    return panel(shown, title, GAP + at * (PANEL + GAP))
  })
  const height = GAP + PANELS.length * (PANEL + GAP)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="Memory, file descriptors, threads and latency over ${minutes} minutes">
<style>text { font: 12px system-ui, sans-serif; fill: #59636e }</style>
<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
${panels.join('\n')}
<text x="${LEFT}" y="${height - 8}">0</text>
<text x="${WIDTH - RIGHT}" y="${height - 8}" text-anchor="end">${minutes} min</text>
</svg>
`
}

function panel(curves: readonly Curve[], title: string, top: number): string {
  const most = Math.max(1, ...curves.flatMap(({ values }) => values))
  const width = WIDTH - LEFT - RIGHT
  const lines = curves.map(({ name, values }, at) => {
    const points = values.map((value, index) => {
      const x = LEFT + (index / Math.max(1, values.length - 1)) * width
      return `${x.toFixed(1)},${(top + PANEL - (value / most) * PANEL).toFixed(1)}`
    })
    const colour = COLOURS[at % COLOURS.length]
    const legend = top + 14 + at * 18
    return `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${points.join(' ')}"/>
<text x="${WIDTH - RIGHT + 12}" y="${legend}" style="fill: ${colour}">${name}</text>`
  })
  return `<text x="${LEFT}" y="${top - 8}">${title}</text>
<text x="${LEFT - 8}" y="${top + 10}" text-anchor="end">${Math.round(most)}</text>
<path d="M${LEFT} ${top}V${top + PANEL}H${WIDTH - RIGHT}" fill="none" stroke="#d1d9e0"/>
${lines.join('\n')}`
}
