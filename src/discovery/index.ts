// mcbn/discovery: from the name of a service to its endpoints, and to a connection. Works without the
// addon; nothing it learns is trusted.

export type { McbnErrorCode, McbnErrorKind } from '../errors.js'
export { McbnError } from '../errors.js'
export type { ServiceAddress, WatchAddressesOptions } from './addresses.js'
export { watchAddresses } from './addresses.js'
export type { DiscoveryConnectOptions, OpeningSocket } from './connect.js'
export { connect, tryEndpoints } from './connect.js'
export type { ConsulLogin, ConsulOptions } from './consul.js'
export { consulResolver } from './consul.js'
export type { DnsSrvOptions } from './dns.js'
export { dnsSrvResolver, srvName } from './dns.js'
export { orderEndpoints, parseEndpoint } from './endpoint.js'
export type { ParticipantLocator, ParticipantLocatorOptions } from './participants.js'
export { resolveParticipants } from './participants.js'
export type { StaticEndpoint } from './static.js'
export { staticResolver } from './static.js'
export type { Endpoint, ResolveOptions, Resolver } from './types.js'
