// After the story, with --web: everything goes on running, and people decide on the three pages.

import { setTimeout as sleep } from 'node:timers/promises'
import { Refused } from './actor.js'
import type { Page, Stage } from './stage.js'

export interface LiveReporter {
  /** Where the pages are. */
  pages(pages: readonly Page[]): void
  /** What has changed. */
  says(line: string): void
}

/** Pause between two attempts, so that a yes on a page is seen at once. */
const PAUSE_MS = 700

/** A fresh epoch where everybody is asked; then connections come and go as people decide. Never ends. */
export async function runLive(stage: Stage, reporter: LiveReporter): Promise<never> {
  await stage.ceremony(3, 'n-of-n', 3)
  // The links sign people in: they are for the terminal only.
  stage.hush()
  reporter.pages(await stage.serve({ approval: () => 'manual', page: true }))
  let last = ''
  const says = (line: string): void => {
    if (line !== last) reporter.says(line)
    last = line
  }
  for (;;) {
    const missing = await tryJoin(stage)
    if (missing !== undefined) {
      says(missing)
      await sleep(PAUSE_MS)
      continue
    }
    says(await untilClosed(stage, says))
  }
}

/** @returns who has not agreed yet; undefined when both workloads have joined. */
async function tryJoin(stage: Stage): Promise<string | undefined> {
  const attempts = await Promise.all(
    [stage.server, stage.client].map(async (machine) => {
      try {
        await machine.call('join', { patience: stage.pace.patience })
        return undefined
      } catch (error) {
        return `${machine.name}: ${whyNot(error)}`
      }
    }),
  )
  const missing = attempts.filter((attempt) => attempt !== undefined)
  return missing.length === 0 ? undefined : `no connection; ${missing.join('; ')}`
}

/** Connects, and says when it is over. */
async function untilClosed(stage: Stage, says: (line: string) => void): Promise<string> {
  try {
    await stage.client.call('hold', await stage.listen())
    says(
      `connected: TLS 1.3 and DTLS 1.2, messages go through Frank; leases of ${stage.pace.leaseSeconds} s are renewed`,
    )
    const { labels, tls } = await stage.client.call('held', {})
    return `closed (${tls}): no consent of ${labels.join(', ') || 'the server any more'}`
  } catch (error) {
    return `no connection; ${whyNot(error)}`
  }
}

function whyNot(error: unknown): string {
  if (!(error instanceof Refused)) throw error
  const { have, need, refused = [], silent = [] } = error.fields as Partial<InsufficientJson>
  if (need === undefined) return error.message
  const who = [
    ...refused.map(({ label, code }) => `${label} ${WORDS[code] ?? code}`),
    ...silent.map((label) => `${label} gives no answer`),
  ]
  return `${have} of ${need} shares (${who.join(', ')})`
}

/** What is used of the error's JSON. */
interface InsufficientJson {
  readonly need: number
  readonly have: number
  readonly refused: readonly { readonly label: string; readonly code: string }[]
  readonly silent: readonly string[]
}

const WORDS: Readonly<Record<string, string>> = {
  manual: 'has not decided',
  policy: 'refuses',
  withdrawn: 'has withdrawn',
}
