// The results as one picture: a group of bars a measurement, mcbn's beside the others', light and dark.

/** What {@link json} writes, as far as a picture needs it. */
export interface Results {
  readonly machine: { readonly node: string; readonly processor: string; readonly cores: number }
  readonly rounds: number
  readonly seconds: number
  readonly measurements: readonly {
    readonly name: string
    readonly title: string
    readonly unit: string
    readonly better: 'higher' | 'lower'
    readonly subjects: readonly {
      readonly name: string
      /** null: failed. */
      readonly median: number | null
      /** mcbn's figure over this one's. */
      readonly mcbnShare: number | null
    }[]
  }[]
}

const WIDTH = 880
const MARGIN = 16
const NAMES = 190
const BARS = 400
const ROW = 22
const BAR = 14
const GROUP_GAP = 18
const TITLE = 26
/** Characters of a title that fit the width. */
const TITLE_CHARACTERS = 105

// GitHub shows the picture on either ground; text keeps a contrast of 4.5 on both, bars of 3.
const STYLE = `
  text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .quiet { fill: #59636e }
  .ground { fill: #ffffff }
  .mcbn { fill: #0969da }
  .other { fill: #818b98 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .quiet { fill: #9198a1 }
    .ground { fill: #0d1117 }
    .mcbn { fill: #4493f8 }
    .other { fill: #656c76 }
  }`

/** Measurements with nothing beside mcbn are left out: a single bar says nothing. */
export function chart(results: Results): string {
  const groups = results.measurements.filter(
    ({ subjects }) => subjects.filter(({ median }) => median !== null).length > 1,
  )
  let y = MARGIN + TITLE
  const drawn = groups.map((group) => {
    const height = TITLE + group.subjects.length * ROW
    const svg = drawGroup(group, y)
    y += height + GROUP_GAP
    return svg
  })
  const { machine, rounds, seconds } = results
  const made = `Node ${machine.node}, ${machine.cores} x ${machine.processor}; ${rounds} x ${seconds} s. In brackets: mcbn's over it`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img" aria-labelledby="title described">
<title id="title">mcbn and what stands beside it</title>
<desc id="described">${escaped(groups.map(inWords).join(' '))}</desc>
<style>${STYLE}
</style>
<rect class="ground" width="${WIDTH}" height="${y}"/>
<text x="${MARGIN}" y="${MARGIN + 12}" class="quiet">${escaped(shortened(made))}</text>
${drawn.join('\n')}
</svg>
`
}

type Group = Results['measurements'][number]

function drawGroup({ title, unit, better, subjects }: Group, top: number): string {
  const most = Math.max(...subjects.map(({ median }) => median ?? 0))
  const heading = shortened(`${title} (${unit}, ${better} is better)`)
  const rows = subjects.map(({ name, median, mcbnShare }, row) => {
    const y = top + TITLE + row * ROW
    const text = y + BAR - 3
    const length = median === null || most === 0 ? 0 : Math.max(1, (median / most) * BARS)
    const ours = row === 0
    const ratio = ours || mcbnShare === null ? '' : ` (${ratioText(mcbnShare)})`
    const figure = median === null ? 'failed' : `${number(median)} ${unit}`
    return [
      `<text x="${MARGIN + NAMES - 10}" y="${text}" text-anchor="end"${ours ? ' class="title"' : ''}>${escaped(name)}</text>`,
      `<rect class="${ours ? 'mcbn' : 'other'}" x="${MARGIN + NAMES}" y="${y}" width="${length.toFixed(1)}" height="${BAR}" rx="2"/>`,
      `<text x="${(MARGIN + NAMES + length + 8).toFixed(1)}" y="${text}">${escaped(figure)}<tspan class="quiet">${ratio}</tspan></text>`,
    ].join('\n')
  })
  return `<text x="${MARGIN}" y="${top + 14}" class="title">${escaped(heading)}</text>\n${rows.join('\n')}`
}

/** For screen readers. */
function inWords({ title, unit, better, subjects }: Group): string {
  const figures = subjects.map(({ name, median }) => {
    return `${name} ${median === null ? 'failed' : `${number(median)} ${unit}`}`
  })
  return `${title}, ${better} is better: ${figures.join('; ')}.`
}

function number(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value < 100 ? 2 : 0 })
}

function ratioText(ratio: number): string {
  return `${ratio < 10 ? ratio.toFixed(2) : ratio.toFixed(0)} x`
}

function shortened(text: string): string {
  return text.length <= TITLE_CHARACTERS ? text : `${text.slice(0, TITLE_CHARACTERS - 1)}…`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
