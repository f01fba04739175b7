// Where participants can be asked for releases. They sign what they send and what they are asked with is
// sealed to no address, so a wrong URL here costs that participant's answer and nothing more.

import { McbnError } from '../errors.js'
import { type OptionTable, refuseUnknown } from '../option-names.js'
import { choiceOption, functionOption, integerOption, objectOption } from '../options.js'
import { endpointText, MOST_ENDPOINTS, orderEndpoints, parseEndpoint } from './endpoint.js'
import type { ResolveOptions, Resolver } from './types.js'

/** Finds base URLs of one participant, the first to try first. */
export type ParticipantLocator = (label: string, options?: ResolveOptions) => Promise<string[]>

export interface ParticipantLocatorOptions {
  /** What the participants speak. @defaultValue 'http' */
  readonly protocol?: 'http' | 'https'
  /** URLs of one participant that are given at most. @defaultValue 8 */
  readonly most?: number
  /** Gives numbers from 0 up to 1 to choose by weight with. @defaultValue Math.random */
  readonly random?: () => number
}

/** The options and their defaults. */
const LOCATOR_DEFAULTS = {
  protocol: 'http',
  most: 8,
  random: Math.random,
} as const satisfies OptionTable<ParticipantLocatorOptions>

/**
 * A function that finds participants, for `consent.join({ participants })`.
 *
 * @param services - by label, the service name to ask the resolver for; or labels that are service names.
 * @throws {McbnError} from the function: `MCBN_DISCOVERY_FAILED` for a label that is not among them, and
 * whatever the resolver throws.
 */
export function resolveParticipants(
  resolver: Resolver,
  services: Readonly<Record<string, string>> | readonly string[],
  options: ParticipantLocatorOptions = {},
): ParticipantLocator {
  objectOption('resolver', resolver)
  objectOption('services', services)
  const names = new Map<string, string>(
    Array.isArray(services)
      ? services.map((label: string) => [label, label])
      : Object.entries(services),
  )
  objectOption('options', options)
  refuseUnknown('resolveParticipants', options, LOCATOR_DEFAULTS)
  const protocol = choiceOption(
    'protocol',
    options.protocol,
    ['http', 'https'],
    LOCATOR_DEFAULTS.protocol,
  )
  const bounds = { min: 1, max: MOST_ENDPOINTS }
  const most = integerOption('most', options.most, bounds, LOCATOR_DEFAULTS.most)
  const random = functionOption('random', options.random) ?? LOCATOR_DEFAULTS.random
  return async (label, asked) => {
    const service = names.get(label)
    if (service === undefined) {
      const message = `participant ${JSON.stringify(label)}: expected one of ${[...names.keys()].join(', ')}`
      throw new McbnError('MCBN_DISCOVERY_FAILED', message)
    }
    const given: readonly unknown[] = await resolver.resolve(service, asked)
    const endpoints = given
      .slice(0, MOST_ENDPOINTS)
      .map(parseEndpoint)
      .filter((endpoint) => typeof endpoint !== 'string')
    return orderEndpoints(endpoints, random)
      .slice(0, most)
      .map((endpoint) => `${protocol}://${endpointText(endpoint)}`)
  }
}
