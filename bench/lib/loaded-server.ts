import type { Anchors } from './anchors.js'
import type { Child } from './child.js'
import type { Sample } from './measurement.js'
import { counted, each } from './system-calls.js'

/** What the generator in C does: as many handshakes as it can, or echoes on sessions that stay open. */
export interface Load {
  readonly what: 'handshakes' | 'echo'
  readonly suite: string
  /** Handshakes at once, or sessions. */
  readonly width: number
}

/** The same generator in front of every server; the server's processor time is told besides. */
export async function underLoad(
  anchors: Anchors,
  server: Child,
  { what, suite, width }: Load,
  seconds: number,
  counting: boolean,
): Promise<Sample> {
  await using serving = server
  const port = await serving.value('port')
  await using load = anchors.run('dtls_load', what, suite, port, seconds, width)
  await load.value('started')
  const before = serving.cpuSeconds
  const counts = counted(serving, seconds, counting)
  const value = await load.value('result')
  const spent = serving.cpuSeconds - before
  return {
    value,
    costs: {
      server: (spent / (value * seconds)) * 1e6,
      generator: await load.value('cost'),
    },
    counts: each(await counts, value),
  }
}
