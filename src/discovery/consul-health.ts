// The answer of GET /v1/health/service/:service, field by field into endpoints.

import { MOST_ENDPOINTS, parseEndpoint } from './endpoint.js'
import type { Endpoint } from './types.js'

type Fields = Readonly<Record<string, unknown>>

/** What an answer came to. */
export interface Health {
  readonly endpoints: Endpoint[]
  /**
   * Why an instance cannot be used, one sentence each: it names no host or no port, as one without an
   * address (`Service.Address` and `Node.Address` both empty) is nowhere.
   */
  readonly unusable: string[]
}

/** @throws {Error} when it is not a list. */
export function parseHealth(body: unknown): Health {
  if (!Array.isArray(body)) throw new Error('the answer is not a list of instances')
  const health: Health = { endpoints: [], unusable: [] }
  for (const entry of body.slice(0, MOST_ENDPOINTS)) {
    const found = instance(fields(entry))
    if (typeof found === 'string') health.unusable.push(`${naming(fields(entry))}: ${found}`)
    else health.endpoints.push(found)
  }
  return health
}

/** The instance's ID and its node, where they can be shown; a registry's words are a stranger's. */
function naming(entry: Fields): string {
  const id = fields(entry['Service'])['ID']
  const node = fields(entry['Node'])['Node']
  return `instance ${shown(id)} on node ${shown(node)}`
}

function shown(name: unknown): string {
  return typeof name === 'string' && /^[\x21-\x7e]{1,64}$/.test(name)
    ? JSON.stringify(name)
    : 'without a usable name'
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
