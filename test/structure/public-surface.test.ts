// What a caller can reach on the objects that the package hands out, in JavaScript, where types hide nothing. A
// name more here is a promise, or a way in: what an endpoint tells its sockets once stood beside `send`.

import { EventEmitter } from 'node:events'
import { Server } from 'node:net'
import { Duplex } from 'node:stream'
import * as consent from 'mcbn/consent'
import * as discovery from 'mcbn/discovery'
import * as dtls from 'mcbn/dtls'
import * as psk from 'mcbn/psk'
import * as tls from 'mcbn/tls'
import { describe, expect, it } from 'vitest'

const SURFACE: Readonly<Record<string, readonly string[]>> = {
  AuditLog: ['append bytes check close head headAt recent verify'],
  BoardTransport: ['get put'],
  Ceremony: [
    '@custom accept advance awaited complaints finished messages outgoing result round',
    'rounds secret toJSON wipe',
  ],
  CeremonyState: ['begin ceremony close descriptorFile save'],
  DtlsServer: [
    '@asyncDispose address close deletePsk exportSessions fleet importSessions listen listening',
    'ref revoke sessions setFleetMembers setPsk stats takeOverNode unref',
  ],
  DtlsSocket: [
    '@asyncDispose alpnProtocol bufferedAmount close closeReason closed confirmAddress',
    'connectionId destroy encrypted exportKeyingMaterial exportSession getCipher',
    'getProtocol isSessionReused localAddress localPort maxDatagramSize opened peer pskIdentity readyState',
    'remoteAddress remoteFamily remotePort send sendMany servername stats updateKeys',
  ],
  FolderTransport: ['get put'],
  InsufficientConsentError: ['name toJSON'],
  InvalidShareError: ['name toJSON'],
  McbnError: ['name toJSON'],
  MemoryTransport: ['get put'],
  Network: [
    '@asyncDispose advance close connections descriptor descriptorHash ended epoch identity',
    'kcv leases name redundancy toJSON',
  ],
  Participant: [
    '@custom approve close decisions evidence giveBack isOfHolder leases pending refuse',
    'replacePolicy request status toJSON withdraw withdrawal',
  ],
  TlsServer: ['deletePsk revoke setPsk'],
  TlsSocket: [
    '@asyncDispose _destroy _final _read _write _writev address bytesRead bytesWritten',
    'connecting destroySoon exportKeyingMaterial getCipher getProtocol localAddress',
    'localFamily localPort noteReceived noteSent opened pending readyState ref',
    'remoteAddress remoteFamily remotePort setKeepAlive setNoDelay setTimeout stopIdleTimer',
    'timeout unref',
  ],
}

/** Node's own classes: what they have is theirs. */
const BASES: readonly object[] = [Object, Error, EventEmitter, Duplex, Server].map(
  (base) => base.prototype,
)

describe('structure/the public surface', () => {
  const entries = { consent, discovery, dtls, psk, tls }
  const classes = new Map<string, object>()
  for (const entry of Object.values(entries)) {
    for (const [name, value] of Object.entries(entry as Record<string, unknown>)) {
      if (typeof value === 'function' && !isPlainFunction(value)) classes.set(name, value.prototype)
    }
  }

  it('is that of the classes listed here', () => {
    expect([...classes.keys()].sort()).toEqual(Object.keys(SURFACE).sort())
  })

  it.each(Object.entries(SURFACE))('%s has these names', (name, lines) => {
    expect(namesOf(classes.get(name) ?? {})).toEqual(lines.join(' ').split(' '))
  })

  it('leaves nothing on a socket or server itself but what its base class has', () => {
    const base = Object.keys(new EventEmitter())
    const server = dtls.createServer({ psk: {} })
    expect(Reflect.ownKeys(new dtls.DtlsSocket()).map(String)).toEqual(
      Reflect.ownKeys(new EventEmitter()).map(String),
    )
    expect(Object.keys(server)).toEqual(base)
  })
})

function isPlainFunction(value: object): boolean {
  return !/^class\b/.test(Function.prototype.toString.call(value))
}

function namesOf(prototype: object): string[] {
  const names = new Set<string>()
  let at = prototype
  while (!BASES.includes(at)) {
    for (const key of Reflect.ownKeys(at)) if (key !== 'constructor') names.add(textOf(key))
    at = Object.getPrototypeOf(at)
  }
  return [...names].sort()
}

/** Symbols of Node, whose descriptions are not the same in all releases, by the last word. */
function textOf(key: string | symbol): string {
  return typeof key === 'string' ? key : `@${key.description?.split('.').at(-1)}`
}
