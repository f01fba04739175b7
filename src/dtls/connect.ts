import { lookup as dnsLookup } from 'node:dns'
import { isIP } from 'node:net'
import { DTLS_CLIENT_SOCKET } from '../diagnostics.js'
import { McbnError } from '../errors.js'
import { type ClientKey, clientKey } from '../keys/client-key.js'
import { type ContextSettings, clientContext } from '../native/context.js'
import type { NativeResumed } from '../native/dtls.js'
import { adviceFor, refuseUnknown } from '../option-names.js'
import {
  functionOption,
  integerOption,
  objectOption,
  servernameOption,
  stringOption,
  typeName,
} from '../options.js'
import { refuseUnsendable } from '../psk/identity.js'
import type { PskClientSource } from '../psk/types.js'
import { Client, type ClientSettings, connectionFailed, type Target, wipeKeys } from './client.js'
import type { IoThread } from './io-thread.js'
import { sharedClientThread } from './io-thread.js'
import { portOption, presetOption, resolveDtlsOptions } from './options.js'
import { PRESET_PORTS } from './presets.js'
import { sealingKeyOption } from './session-transfer.js'
import { DtlsSocket } from './socket.js'
import { type ResolvedSessionStore, sessionStoreOption } from './store/option.js'
import {
  DTLS_CONNECT_OPTIONS,
  DTLS_SERVER_OPTIONS,
  type DtlsConnectOptions,
  type DtlsSealedSession,
} from './types.js'

/** What a server looks at (native/dtls13/handshake_messages.h). */
const MOST_KEYS = 8

const CLIENT_ADVICE = adviceFor(
  Object.keys(DTLS_SERVER_OPTIONS),
  'it is an option of dtls.createServer',
)

/**
 * Opens a DTLS association with a server. All clients of a JavaScript thread share one I/O thread.
 *
 * @param onSecureConnect - once, on `secureConnect`.
 * @returns the socket, in state `opening`: wait for `opened` or `secureConnect`.
 * @throws {McbnError} of kind `usage` for wrong options; `MCBN_ADDON_UNAVAILABLE`. Everything that the
 * system, the network or the peer does comes as `error`.
 */
export function connect(options: DtlsConnectOptions, onSecureConnect?: () => void): DtlsSocket {
  objectOption('options', options)
  refuseUnknown('dtls.connect', options, DTLS_CONNECT_OPTIONS, CLIENT_ADVICE)
  const resolved = resolveDtlsOptions(options, 'client')
  const target = targetOf(options)
  const { psk, signal } = options
  const resumed = options.session === undefined ? undefined : resumedOption(options.session)
  const store = storeOption(options, target)
  const keys = keysOf(psk, resolved.context)
  try {
    const context = clientContext(resolved.context)
    const socket = new DtlsSocket()
    if (onSecureConnect) socket.once('secureConnect', onSecureConnect)
    const thread = threadFor(socket)
    const settings = {
      ...resolved,
      target,
      psk: psk as PskClientSource,
      ...keys,
      context,
      signal,
      resumed,
      store,
    } as const
    if (thread === undefined) wipeKeys(keys)
    else new Client(socket, thread, settings)
    if (DTLS_CLIENT_SOCKET.hasSubscribers) {
      DTLS_CLIENT_SOCKET.publish({ socket, host: target.host, port: target.port })
    }
    return socket
  } catch (error) {
    wipeKeys(keys)
    throw error
  }
}

/** Which keys the client offers; none where a function is asked. They are for all versions that it speaks. */
function keysOf(
  psk: DtlsConnectOptions['psk'],
  { min13 }: Pick<ContextSettings, 'min13'>,
): Pick<ClientSettings, 'key' | 'otherKeys'> {
  if (typeof psk === 'function') return { key: undefined, otherKeys: [] }
  const several = Array.isArray(psk)
  const given: readonly unknown[] = several ? psk : [psk]
  if (several && !min13) {
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      "psk: expected one credential with DTLS 1.2; several need minVersion: 'DTLSv1.3'",
    )
  }
  if (given.length < 1 || given.length > MOST_KEYS) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      `psk: expected 1 to ${MOST_KEYS} credentials, got ${given.length}`,
    )
  }
  const keys: ClientKey[] = []
  try {
    for (const [index, each] of given.entries()) {
      const name = several ? `psk[${index}]` : 'psk'
      keys.push(clientKey(each, min13, name))
      refuseUnsendable((keys.at(-1) as ClientKey).identity, min13 ? 'DTLSv1.3' : 'DTLSv1.2')
    }
    const [key, ...otherKeys] = keys
    const odd = otherKeys.findIndex(({ hash }) => hash !== key?.hash)
    if (odd === -1) return { key, otherKeys }
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      `psk[${odd + 1}].hash: expected '${key?.hash}' as of the first, since one handshake has one hash`,
    )
  } catch (error) {
    for (const { key } of keys) key.fill(0)
    throw error
  }
}

/** Undefined: the system has no descriptor or thread to spare, which the socket tells as its end. */
function threadFor(socket: DtlsSocket): IoThread | undefined {
  try {
    return sharedClientThread()
  } catch (error) {
    const { message } = error as Error
    const reason = `${message}; the limits of open files and threads are the system's`
    process.nextTick(() => socket.destroy(connectionFailed(reason, error as Error)))
    return undefined
  }
}

function targetOf(options: DtlsConnectOptions): Target {
  const resumes = options.session !== undefined
  const { family, localAddress } = options
  if (localAddress !== undefined && isIP(localAddress) === 0) {
    throw new McbnError('MCBN_OPTION_RANGE', 'localAddress: expected an IP address')
  }
  const wanted = integerOption('family', family, { min: 0, max: 6 }, 0)
  if (wanted !== 0 && wanted !== 4 && wanted !== 6) {
    throw new McbnError('MCBN_OPTION_RANGE', `family: expected 0, 4 or 6, got ${wanted}`)
  }
  return {
    host: stringOption('host', options.host, 255) || (resumes ? '' : 'localhost'),
    port:
      resumes && options.host === undefined
        ? 0
        : portOption('port', options.port ?? presetPort(options.preset), 1),
    family: localAddress === undefined ? wanted : (isIP(localAddress) as 4 | 6),
    localAddress: localAddress ?? '',
    localPort: portOption('localPort', options.localPort ?? 0, 0),
    servername: servernameOption(options.servername) ?? '',
    lookup: functionOption('lookup', options.lookup) ?? dnsLookup,
  }
}

/** @throws {McbnError} of kind `usage`. */
function storeOption(
  { sessionStore }: DtlsConnectOptions,
  { host }: Target,
): ResolvedSessionStore | undefined {
  if (sessionStore === undefined) return undefined
  if (host !== '') return sessionStoreOption(sessionStore)
  throw new McbnError(
    'MCBN_OPTION_CONFLICT',
    'sessionStore: expected host and port as well, by which the session is found again',
  )
}

const SEALED_SESSION = { sealed: undefined, sealingKey: undefined } as const

function resumedOption(value: unknown): NativeResumed {
  objectOption('session', value)
  refuseUnknown('session', value, SEALED_SESSION)
  const { sealed, sealingKey } = value as Partial<DtlsSealedSession>
  if (!(sealed instanceof Uint8Array)) {
    throw new McbnError(
      'MCBN_OPTION_TYPE',
      `session.sealed: expected a Uint8Array, got ${typeName(sealed)}`,
    )
  }
  // Copies: the caller may wipe the originals before the connection is opened.
  return {
    sealed: Buffer.from(sealed),
    sealingKey: Buffer.from(sealingKeyOption(sealingKey)),
    row: new Uint8Array(),
  }
}

function presetPort(value: unknown): number | undefined {
  const preset = presetOption(value)
  return preset && PRESET_PORTS[preset]
}
