// What the programs of abuse.ts call: right arguments for every function of the addon, and odd ones.

import type { NativeContext } from '../../../src/native/contract.js'
import type { NativeAddon } from '../../../src/native/load.js'

/** What code that runs in the middle of a call does to it. */
export const ACTIONS = ['throw', 'detach', 'destroy', 'stop', 'call again'] as const
export type Action = (typeof ACTIONS)[number]

type Loose = (...args: unknown[]) => unknown

interface Made {
  readonly args: unknown[]
  call(args: unknown[]): unknown
}

const KEY = () => new Uint8Array(32).fill(7)
const NAME = () => new TextEncoder().encode('somebody')

const context = (server: boolean, datagram: boolean) => ({
  server,
  datagram,
  min13: false,
  max12: datagram,
  ciphers: '',
  identityHint: '',
  alpn: [NAME()],
  ask: false,
  conceal: true,
})
const udp = { reusePort: false, ipv6Only: false, recvBufferSize: 0, sendBufferSize: 0 }
const dtls = {
  mtu: 1_200,
  handshakeTimeout: 1_000,
  retransmitTimeout: 0,
  idleTimeout: 0,
  replayWindow: 64,
  forgeryLimit: 0,
  connectionId: 8,
  opensslRecords: false,
  busyPoll: 0,
  keylog: false,
}
const listen = () => ({
  ...udp,
  ...dtls,
  address: '127.0.0.1',
  port: 0,
  threads: 1,
  threadIndex: 0,
  cookieSecret: KEY(),
  rowKey: KEY(),
})
const connect = (port: number) => ({
  ...udp,
  ...dtls,
  address: '127.0.0.1',
  port,
  localAddress: '',
  localPort: 0,
  servername: '',
  rowKey: new Uint8Array(0),
  rowPrefix: new Uint8Array(0),
  credential: { identity: NAME(), key: KEY(), hash: 'sha256' },
  otherCredentials: [],
})
const limits = { maxSessions: 8, maxHandshakes: 8, maxSessionsPerHost: 0, evictAfter: 0 }
const answer = () => ({ key: KEY(), hash: 'sha256', identity: NAME() })

/** Contexts are made once: each costs as much as several handshakes. */
let shared: Record<'tlsClient' | 'tlsServer' | 'dtlsClient' | 'dtlsServer', object> | undefined

/** Takes memory away from its views; frames stay, and Node's pool of Buffers, which refuses from Node 22 on. */
function detach(memory: ArrayBufferLike): void {
  if (!(memory instanceof ArrayBuffer) || memory.byteLength === 0) return
  if (memory.byteLength >= 65_536) return
  try {
    structuredClone(null, { transfer: [memory] })
  } catch (error) {
    if ((error as Error).name !== 'DataCloneError') throw error
  }
}

export class World {
  readonly addon: NativeAddon
  readonly keys
  readonly admission
  readonly fleet
  readonly thread
  readonly streams: object[]
  readonly contexts
  readonly port: number
  private readonly rows = new Uint32Array(5 * 16)
  private readonly inbox = new Uint8Array(1_024)
  private readonly left: unknown[] = []
  private readonly threads: { stop(): void }[] = []

  constructor(addon: NativeAddon) {
    this.addon = addon
    this.keys = new addon.KeyTable()
    this.keys.set(NAME(), KEY(), 'sha256', false)
    const keys = this.keys
    const create = (server: boolean, datagram: boolean) =>
      new addon.Context({ ...context(server, datagram), ...(server ? { keys } : {}) } as never)
    shared ??= {
      tlsClient: create(false, false),
      tlsServer: create(true, false),
      dtlsClient: create(false, true),
      dtlsServer: create(true, true),
    }
    this.contexts = shared as Record<keyof typeof shared, NativeContext>
    this.admission = new addon.Admission(limits)
    this.fleet = new addon.Fleet({ node: 1, key: KEY() })
    this.thread = new addon.IoThread(() => {}, this.rows, this.inbox)
    this.threads.push(this.thread)
    const { tlsClient, tlsServer, dtlsServer, dtlsClient } = this.contexts
    const options = { keylog: true, servername: '', askForHint: false }
    this.streams = [tlsClient, tlsServer].map((one) => new addon.TlsSession(one, options))
    const bound = this.thread.listen(1, dtlsServer, listen() as never, this.admission)
    if (!('port' in bound)) throw new Error(JSON.stringify(bound))
    this.port = bound.port
    this.thread.begin(1)
    this.thread.connect(2, dtlsClient, connect(this.port) as never)
    this.thread.frame(256)
  }

  /** Results are used again: a session of a program that made one by abuse. */
  keep(result: unknown): void {
    if (typeof result !== 'object' || result === null) return
    this.left.push(result)
    if (result instanceof this.addon.IoThread) this.threads.push(result)
    if (result instanceof this.addon.TlsSession) this.streams.push(result)
  }

  /** One of the values that nobody should hand over. */
  odd(index: number): unknown {
    const all = this.oddities()
    return all[index % all.length]
  }

  private oddities(): unknown[] {
    const detached = new Uint8Array(16)
    structuredClone(detached.buffer, { transfer: [detached.buffer] })
    const growing = new (ArrayBuffer as unknown as new (...all: unknown[]) => ArrayBuffer)(8, {
      maxByteLength: 64,
    })
    const revoked = Proxy.revocable({}, {})
    revoked.revoke()
    const { tlsClient, dtlsClient, dtlsServer } = this.contexts
    return [
      undefined,
      null,
      Number.NaN,
      -1,
      0.5,
      2 ** 32,
      2 ** 53,
      -(2 ** 31),
      2 ** 31 - 1,
      Number.POSITIVE_INFINITY,
      '',
      'a',
      'sha384',
      'failed',
      '\0\ud800',
      'x'.repeat(70_000),
      Symbol('odd'),
      10n,
      true,
      () => 1,
      [],
      [undefined, 1, 'a'],
      [KEY(), KEY()],
      Object.create(null),
      {},
      detached,
      new Uint8Array(growing),
      new Uint8Array(new SharedArrayBuffer(32)),
      new Uint8Array(0),
      KEY().subarray(3, 5),
      new Uint8Array(70_000),
      new Uint16Array(3),
      new Uint32Array(3),
      new Float64Array(3),
      new DataView(new ArrayBuffer(3)),
      new ArrayBuffer(9),
      revoked.proxy,
      this.keys,
      this.admission,
      this.fleet,
      this.thread,
      tlsClient,
      dtlsClient,
      dtlsServer,
      this.streams[0],
      Object.create(this.keys),
      new this.addon.Context({ ...context(true, true), ciphers: 'NONE' } as never),
      ...this.left.slice(-4),
    ]
  }

  /** Code that an accessor or a trap runs while the addon reads `holder`. */
  act(action: Action, holder: Record<string, unknown>, planted: Error): void {
    if (action === 'throw') throw planted
    if (action === 'stop') for (const one of this.threads) one.stop()
    if (action === 'destroy') for (const one of this.streams) this.method(one, 'destroy')
    if (action === 'call again') this.keys.set(NAME(), KEY(), 'sha256', false)
    if (action !== 'detach') return
    // What the thread was given when it began, too.
    for (const { buffer } of [this.rows, this.inbox]) detach(buffer)
    for (const name of Object.keys(holder)) {
      const value = Object.getOwnPropertyDescriptor(holder, name)?.value
      if (value instanceof Uint8Array) detach(value.buffer)
    }
  }

  proxied(good: object, action: Action, planted: Error): unknown {
    const acting = <Result>(result: Result): Result => {
      this.act(action, good as Record<string, unknown>, planted)
      return result
    }
    return new Proxy(good, {
      get: (target, name) => acting(Reflect.get(target, name)),
      ownKeys: (target) => acting(Reflect.ownKeys(target)),
    })
  }

  private method(target: object, name: string, args: unknown[] = []): unknown {
    return (Reflect.get(target, name) as Loose).apply(target, args)
  }

  /** Calls `name` on `target`, now and then on an object of another class. */
  on(target: object, name: string, other: boolean, args: unknown[]): unknown {
    const method = Reflect.get(target, name) as Loose
    return method.apply(other ? this.keys : target, args)
  }

  stream(index: number): object {
    return this.streams[index % this.streams.length] as object
  }

  close(): void {
    for (const one of this.threads) one.stop()
  }
}

function onThread(name: string, args: (world: World, on: number) => unknown[]) {
  return (world: World, on: number): Made => ({
    args: args(world, on),
    call: (given) => world.on(world.thread, name, on === 7, given),
  })
}

function onStream(name: string, args: () => unknown[] = () => []) {
  return (world: World, on: number): Made => ({
    args: args(),
    call: (given) => world.on(world.stream(on), name, on === 7, given),
  })
}

function onKeys(name: string, args: () => unknown[]) {
  return (world: World, on: number): Made => ({
    args: args(),
    call: (given) => world.on(world.keys, name, false, on === 7 ? [] : given),
  })
}

function onFleet(name: string, args: () => unknown[]) {
  return (world: World, on: number): Made => ({
    args: args(),
    call: (given) => world.on(world.fleet, name, on === 7, given),
  })
}

function making(name: keyof NativeAddon, args: (world: World, on: number) => unknown[]) {
  return (world: World, on: number): Made => {
    const Class = world.addon[name] as unknown as new (...given: unknown[]) => object
    return {
      args: args(world, on),
      call: (given) =>
        on === 7
          ? (Class as unknown as Loose)(...given)
          : on === 6
            ? Reflect.construct(Class, given, world.addon.KeyTable)
            : new Class(...given),
    }
  }
}

function calling(
  name: 'validatePath' | 'sealHpke' | 'tryLockFile' | 'unlockFile',
  args: () => unknown[],
) {
  return (world: World): Made => ({
    args: args(),
    call: (given) => (world.addon[name] as unknown as Loose)(...given),
  })
}

const either = (on: number) => (on % 2) + 1
const lent = () => {
  const one = new Uint8Array(4_096)
  return [one, one]
}

/** Every function of the addon, with arguments that are right. */
export const CALLS: Readonly<Record<string, (world: World, on: number) => Made>> = {
  'new Admission': making('Admission', () => [{ ...limits }]),
  'new Context': making('Context', (world, on) => [
    { ...context(on % 2 === 0, on < 4), ...(on % 2 === 0 ? { keys: world.keys } : {}) },
  ]),
  'new KeyTable': making('KeyTable', () => []),
  'new TlsSession': making('TlsSession', (world, on) => [
    on % 2 === 0 ? world.contexts.tlsClient : world.contexts.tlsServer,
    { keylog: true, servername: 'there', askForHint: true },
  ]),
  'new IoThread': making('IoThread', () => [() => {}, new Uint32Array(50), KEY()]),
  'new Fleet': making('Fleet', () => [{ node: 1, key: KEY() }]),
  setMembers: onFleet('setMembers', () => [[{ address: '127.0.0.1', port: 9 }]]),
  takeOver: onFleet('takeOver', () => [2]),
  nodes: onFleet('nodes', () => []),
  address: onFleet('address', () => []),
  lookupSettled: (world) => ({
    args: [1],
    call: (given) => world.on(world.admission, 'lookupSettled', false, given),
  }),
  set: onKeys('set', () => [NAME(), KEY(), 'sha256']),
  delete: onKeys('delete', () => [NAME()]),
  revoke: onKeys('revoke', () => [NAME()]),
  failure: (world) => ({
    args: [],
    call: () => Reflect.get(Object.getPrototypeOf(world.contexts.tlsClient), 'failure', world.keys),
  }),
  useKey: onStream('useKey', () => [{ identity: NAME(), key: KEY(), hash: 'sha256' }]),
  start: onStream('start'),
  receive: onStream('receive', lent),
  write: onStream('write', lent),
  shutdown: onStream('shutdown'),
  'answer of a stream': onStream('answer', () => [1, answer()]),
  takeCiphertext: onStream('takeCiphertext'),
  takeQuestion: onStream('takeQuestion'),
  takeOpened: onStream('takeOpened'),
  takeFailure: onStream('takeFailure'),
  takeKeylog: onStream('takeKeylog'),
  'exportKeyingMaterial of a stream': onStream('exportKeyingMaterial', () => [32, 'label', KEY()]),
  destroy: onStream('destroy'),
  listen: onThread('listen', (world, on) => [
    10 + on,
    world.contexts.dtlsServer,
    listen(),
    world.admission,
  ]),
  begin: onThread('begin', (_, on) => [either(on)]),
  connect: onThread('connect', (world, on) => [
    20 + on,
    world.contexts.dtlsClient,
    connect(world.port),
  ]),
  frame: onThread('frame', () => [64]),
  submit: onThread('submit', () => [0, 64, true]),
  released: onThread('released', () => []),
  progress: onThread('progress', (_, on) => [either(on)]),
  notifyAt: onThread('notifyAt', (_, on) => [either(on), 1]),
  answer: onThread('answer', (_, on) => [either(on), 1, 1, answer()]),
  closeSession: onThread('closeSession', (_, on) => [either(on), 1]),
  closeEndpoint: onThread('closeEndpoint', (_, on) => [either(on), 'goodbye']),
  endSessionsOf: onThread('endSessionsOf', (_, on) => [either(on), NAME()]),
  confirmAddress: onThread('confirmAddress', (_, on) => [either(on), 1, '127.0.0.1', 9]),
  setKeylog: onThread('setKeylog', (_, on) => [either(on), true]),
  exportKeyingMaterial: onThread('exportKeyingMaterial', (_, on) => [
    either(on),
    1,
    32,
    'label',
    KEY(),
  ]),
  exportSession: onThread('exportSession', (_, on) => [either(on), 1, KEY()]),
  exportSessions: onThread('exportSessions', (_, on) => [either(on), KEY(), 5, 'heard']),
  importSessions: onThread('importSessions', (_, on) => [
    either(on),
    KEY(),
    [KEY()],
    'by-table',
    ['0123456789abcdef'],
  ]),
  takeRows: onThread('takeRows', (_, on) => [either(on), 5]),
  rowsWritten: onThread('rowsWritten', (_, on) => [either(on), new Uint32Array([1])]),
  endpointStats: onThread('endpointStats', (_, on) => [either(on)]),
  sessionStats: onThread('sessionStats', (_, on) => [either(on), 1]),
  udpStats: onThread('udpStats', (_, on) => [either(on)]),
  ref: onThread('ref', () => []),
  unref: onThread('unref', () => []),
  stop: onThread('stop', () => []),
  validatePath: calling('validatePath', () => [
    {
      leaf: KEY(),
      intermediates: [KEY()],
      roots: [KEY()],
      crls: [],
      time: 0,
      strict: true,
      digitalSignature: true,
    },
  ]),
  sealHpke: calling('sealHpke', () => [
    ...[Buffer.alloc(112), KEY(), KEY(), KEY(), KEY()],
    'about',
  ]),
  // Of no file that is open.
  tryLockFile: calling('tryLockFile', () => [9_999]),
  unlockFile: calling('unlockFile', () => [9_999]),
}
