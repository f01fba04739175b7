// What a process measures, in one registry of prom-client: participants, workloads, sockets.

import { Counter, collectDefaultMetrics, Registry } from 'prom-client'
import type { Network, Progress } from '../consent/workload/index.js'
import { McbnError } from '../errors.js'
import { type OptionTable, refuseUnknown } from '../option-names.js'
import { DTLS_SERVER_METRICS, type WatchedDtlsServer } from './dtls-server.js'
import { labelsOf, NETWORK_METRICS, type WatchedNetwork } from './network.js'
import { PARTICIPANT_METRICS, type WatchedParticipant } from './participant.js'
import { watchSessions } from './sessions.js'
import { Bounded, type Labels, Table } from './table.js'

export interface MetricsOptions {
  /** Where the metrics are put. @defaultValue a new one */
  readonly registry?: Registry
  /** Memory, processor and event loop of the process too, as prom-client has them. @defaultValue false */
  readonly process?: boolean
}

const OPTIONS = {
  registry: undefined,
  process: undefined,
} as const satisfies OptionTable<MetricsOptions>

export interface WatchOptions {
  /**
   * Value of the label `name`, to tell several of a kind apart: 1 to 64 letters, digits, `_`, `-`, `.`. Not an
   * identity: metrics are for all to read. @defaultValue no such label
   */
  readonly name?: string
}

/** Ends the watching. */
export type Unwatch = () => void

export interface Metrics {
  /** For `registry.metrics()`, and for your own metrics. */
  readonly registry: Registry
  /** @param watched - `server` and `notifier` where the process has them. */
  watchParticipant(watched: WatchedParticipant, options?: WatchOptions): Unwatch
  watchNetwork(
    network: WatchedNetwork['network'] & Pick<Network, 'on' | 'off'>,
    options?: WatchOptions,
  ): Unwatch
  watchDtlsServer(server: WatchedDtlsServer, options?: WatchOptions): Unwatch
  /** Counts the steps of joining and renewing: for `onProgress` of `join`. */
  readonly onProgress: (progress: Pick<Progress, 'state' | 'code'>) => void
  /** Ends all watching. */
  close(): void
}

/**
 * Makes the metrics of a process. Sessions and key lookups of mcbn/tls and mcbn/dtls are counted from now on;
 * what else there is has to be told by the `watch` functions.
 *
 * @throws {McbnError} `MCBN_OPTION_UNKNOWN`; `MCBN_OPTION_RANGE` for a name.
 * @throws prom-client's error when the registry has metrics of these names already.
 */
export function createMetrics(options: MetricsOptions = {}): Metrics {
  refuseUnknown('createMetrics', options, OPTIONS)
  const { registry = new Registry() } = options
  if (options.process === true) collectDefaultMetrics({ register: registry })
  const participants = new Table(registry, PARTICIPANT_METRICS, 'name')
  const networks = new Table(registry, NETWORK_METRICS, 'name')
  const dtlsServers = new Table(registry, DTLS_SERVER_METRICS, 'name')
  const steps = new Counter({
    name: 'mcbn_workload_steps_total',
    help: 'Steps of joining and renewing, by state and by the code of a refusal or error.',
    labelNames: ['state', 'code'],
    registers: [registry],
  })
  const codes = new Bounded()
  const ends = new Set<Unwatch>([watchSessions(registry)])
  const ending = (...parts: readonly Unwatch[]): Unwatch => {
    const end: Unwatch = () => {
      if (!ends.delete(end)) return
      for (const part of parts) part()
    }
    ends.add(end)
    return end
  }
  return {
    registry,
    watchParticipant: (watched, watch) =>
      ending(participants.watch(watched, labelsFor('watchParticipant', watch))),
    watchDtlsServer: (server, watch) =>
      ending(dtlsServers.watch(server, labelsFor('watchDtlsServer', watch))),
    watchNetwork(network, watch) {
      const watched: WatchedNetwork = { network, renewals: 0, ended: false }
      const end = networks.watch(watched, labelsFor('watchNetwork', watch))
      const onRenewed = (): void => {
        watched.renewals += 1
      }
      const onEnded = (): void => {
        watched.ended = true
      }
      network.on('renewed', onRenewed).on('ended', onEnded)
      return ending(end, () => void network.off('renewed', onRenewed).off('ended', onEnded))
    },
    onProgress(progress) {
      const { state, code } = labelsOf(progress)
      steps.inc({ state, code: codes.of(code) })
    },
    close() {
      for (const end of [...ends]) {
        end()
        ends.delete(end)
      }
    },
  }
}

function labelsFor(call: string, options: WatchOptions = {}): Labels {
  refuseUnknown(call, options, { name: undefined })
  const { name } = options
  if (name === undefined) return {}
  if (typeof name === 'string' && /^[\w.-]{1,64}$/.test(name)) return { name }
  throw new McbnError('MCBN_OPTION_RANGE', 'name: expected 1 to 64 letters, digits, _, - or .')
}
