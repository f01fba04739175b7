// --metrics: the addresses at which a process tells how it is.

import type { Command } from 'commander'
import type { Metrics, OperationsServer, Readiness } from '../metrics/index.js'
import { hostAndPort } from './consent/network-options.js'
import type { Diagnostics } from './diagnostics.js'

export interface OperationsFlags {
  readonly metrics?: string
}

export function addOperationsOptions(command: Command): Command {
  return command.option(
    '--metrics <host:port>',
    'serve /metrics (Prometheus), /healthz and /readyz there; they show nobody by name',
  )
}

export interface Operations {
  readonly metrics: Metrics
  readonly url: string
  close(): Promise<void>
}

/**
 * Opens the address, so that it answers while the rest is still starting.
 *
 * @returns undefined without --metrics. @throws {UsageError}; the system's error when it cannot listen.
 */
export async function openOperations(
  { metrics: address }: OperationsFlags,
  ready: () => Readiness,
): Promise<Operations | undefined> {
  if (address === undefined) return undefined
  const at = hostAndPort('--metrics', address)
  const { createMetrics, serveOperations } = await import('../metrics/index.js')
  const metrics = createMetrics({ process: true })
  const server: OperationsServer = await serveOperations({ ...at, metrics, ready })
  return {
    metrics,
    url: server.url,
    async close() {
      metrics.close()
      await server.close()
    },
  }
}

/** As {@link openOperations}, and says where. */
export async function announceOperations(
  flags: OperationsFlags,
  ready: () => Readiness,
  diagnostics: Diagnostics,
): Promise<Operations | undefined> {
  const operations = await openOperations(flags, ready)
  if (operations === undefined) return undefined
  const { url } = operations
  diagnostics.event('operations', `metrics, health and readiness on ${url}`, { url })
  return operations
}
