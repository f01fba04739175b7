// The answer of GET /v1/health/service/:service, field by field into endpoints.

import { MOST_ENDPOINTS, parseEndpoint } from './endpoint.js'
import type { Endpoint } from './types.js'

type Fields = Readonly<Record<string, unknown>>

/**
 * What can be used of it; an instance that names no host or port is left out, as one without an
 * address (`Service.Address` and `Node.Address` both empty) is nowhere.
 *
 * @throws {Error} when it is no list.
 */
export function parseHealth(body: unknown): Endpoint[] {
  if (!Array.isArray(body)) throw new Error('the answer is no list of instances')
  return body
    .slice(0, MOST_ENDPOINTS)
    .map((entry) => instance(fields(entry)))
    .filter((endpoint) => typeof endpoint !== 'string')
}

function instance(entry: Fields): Endpoint | string {
  const service = fields(entry['Service'])
  const node = fields(entry['Node'])
  const weights = fields(service['Weights'])
  const worst = worstStatus(entry['Checks'])
  return parseEndpoint({
    // The service's own address wins; without one it is where its node is.
    host: service['Address'] || node['Address'],
    port: service['Port'],
    // Failing instances are there only if they were asked for: after all others then.
    priority: worst === 'critical' ? 1 : 0,
    weight: clamp(weights[worst === 'passing' ? 'Passing' : 'Warning']),
  })
}

function worstStatus(checks: unknown): 'passing' | 'warning' | 'critical' {
  if (!Array.isArray(checks)) return 'passing'
  const found = new Set(checks.map((check) => fields(check)['Status']))
  if (found.has('critical') || found.has('maintenance')) return 'critical'
  return found.has('warning') ? 'warning' : 'passing'
}

/** Consul's own default is 1; its upper end is that of an SRV record. */
function clamp(weight: unknown): number {
  if (typeof weight !== 'number' || !Number.isInteger(weight)) return 1
  return Math.min(65_535, Math.max(0, weight))
}

/** An object's own fields; of anything else none. */
function fields(value: unknown): Fields {
  return value !== null && typeof value === 'object' ? (value as Fields) : {}
}
