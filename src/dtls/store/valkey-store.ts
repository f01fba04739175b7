// A session store in a Valkey or Redis server: one hash, and the token of its owner.

import { randomBytes } from 'node:crypto'
import type { Redis } from 'iovalkey'
import { McbnError } from '../../errors.js'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import { millisecondsOption, objectOption, stringOption, typeName } from '../../options.js'
import { optionalPackage, storeFailed } from './failure.js'
import type { SessionStore, SessionStoreChange } from './types.js'

/** Where a Valkey or Redis server is, and what is used of it. */
export interface ValkeySessionStoreOptions {
  /** `redis://`, `rediss://` (TLS), or the path of a Unix socket. */
  readonly url: string
  /** The keys `name` and `name:owner` are used: one name for each DTLS server. */
  readonly name: string
  /**
   * Milliseconds, 1_000 to 600_000, after which the next process may take the store although the last one has
   * not closed it: what a restart after a crash waits for at most.
   *
   * @defaultValue 3_000
   */
  readonly takeOverAfter?: number
}

const OPTIONS = {
  url: undefined,
  name: undefined,
  takeOverAfter: 3_000,
} as const satisfies OptionTable<ValkeySessionStoreOptions>
const SHORTEST_TAKE_OVER = 1_000
const LONGEST_TAKE_OVER = 600_000
/** Milliseconds between attempts to take possession. */
const ATTEMPT = 100
/** Milliseconds that an answer may take. */
const PATIENCE = 5_000
/** Rows that are read at once. */
const SCAN = 1_000

/**
 * The server's clock, by which all who want the store count: those of their machines may be hours apart, or be set
 * in between.
 */
const NOW = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)`

/**
 * Makes the changes if the store is still ours. `owner` holds our token and how many writes it has had:
 * a server that was restarted from an older copy is behind, and must not be written to.
 *
 * KEYS: rows, owner. ARGV: token, number of this write, milliseconds until others may take it, then name and row,
 * an empty row to remove it.
 */
const WRITE = `${NOW}
local owner = redis.call('HMGET', KEYS[2], 'token', 'writes')
if owner[1] ~= ARGV[1] then return 'another' end
local before = tonumber(owner[2])
local number = tonumber(ARGV[2])
if before ~= number - 1 and before ~= number then return 'older' end
for i = 4, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[1], ARGV[i])
  else redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
redis.call('HSET', KEYS[2], 'writes', number, 'until', now + tonumber(ARGV[3]))
return 'ok'`

/** Takes the store if nobody has it, or had it for too long. ARGV: token, milliseconds until others may. */
const TAKE = `${NOW}
local owner = redis.call('HMGET', KEYS[2], 'token', 'until')
if owner[1] and owner[1] ~= '' and tonumber(owner[2]) > now then return 'another' end
redis.call('HSET', KEYS[2], 'token', ARGV[1], 'writes', 0, 'until', now + tonumber(ARGV[2]))
return 'ok'`

/** ARGV: token. */
const RELEASE = `
if redis.call('HGET', KEYS[2], 'token') == ARGV[1] then redis.call('HSET', KEYS[2], 'token', '', 'until', 0) end
return 'ok'`

/**
 * A session store in a Valkey or Redis server. It must write every change to its append-only file
 * (`appendonly yes`); `appendfsync always`, or a version with WAITAOF (Valkey, Redis 7.2), which is then used,
 * has what was stored survive a power cut too. A replica that takes over may have less than was
 * acknowledged: do not have one do so. Needs the package `iovalkey`.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`, `MCBN_OPTION_UNKNOWN`; when opened,
 * `MCBN_SESSION_STORE_FAILED`.
 */
export function valkeySessionStore(options: ValkeySessionStoreOptions): SessionStore {
  objectOption('options', options)
  refuseUnknown('valkeySessionStore', options, OPTIONS)
  const text = (name: 'url' | 'name'): string => {
    const value = stringOption(name, options[name], 1_024)
    if (value) return value
    const got = typeName(options[name])
    throw new McbnError('MCBN_OPTION_TYPE', `${name}: expected a string, got ${got}`)
  }
  const wait = millisecondsOption('takeOverAfter', options.takeOverAfter, OPTIONS.takeOverAfter)
  if (wait < SHORTEST_TAKE_OVER || wait > LONGEST_TAKE_OVER) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      `takeOverAfter: expected ${SHORTEST_TAKE_OVER} to ${LONGEST_TAKE_OVER} ms, got ${wait}`,
    )
  }
  return new ValkeySessionStore(text('url'), text('name'), wait)
}

class ValkeySessionStore implements SessionStore {
  readonly #url: string
  readonly #name: string
  readonly #takeOverAfter: number
  #client: Redis | undefined
  #token = ''
  #writes = 0
  /** The server can say when its append-only file is on the disk. */
  #waits = false
  #renewal: NodeJS.Timeout | undefined
  #busy: Promise<unknown> = Promise.resolve()

  constructor(url: string, name: string, takeOverAfter: number) {
    this.#url = url
    this.#name = name
    this.#takeOverAfter = takeOverAfter
  }

  async open(): Promise<void> {
    const { Redis: Client } = await optionalPackage<typeof import('iovalkey')>(
      'iovalkey',
      'a session store in Valkey',
    )
    const client = new Client(this.#url, {
      lazyConnect: true,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: PATIENCE,
      connectTimeout: PATIENCE,
      retryStrategy: (attempt) => Math.min(1_000, 50 * attempt),
    })
    // Each call says by itself what went wrong.
    client.on('error', () => {})
    try {
      await client.connect()
      await this.#inspect(client)
      this.#token = randomBytes(16).toString('hex')
      this.#writes = 0
      await this.#take(client)
    } catch (error) {
      client.disconnect()
      throw this.#failure(error)
    }
    this.#client = client
    // Two turns may be missed before another may take it.
    this.#renewal = setInterval(() => void this.write([]).catch(() => {}), this.#takeOverAfter / 3)
    this.#renewal.unref()
  }

  async #inspect(client: Redis): Promise<void> {
    const persistence = await client.info('persistence')
    if (!/^aof_enabled:1\r?$/m.test(persistence)) {
      throw storeFailed(
        `${this.#name}: the server keeps no append-only file, so it may forget what it said it had, ` +
          'and record numbers would be used twice: set `appendonly yes`',
      )
    }
    const known = (await client.call('COMMAND', 'INFO', 'WAITAOF')) as unknown[]
    this.#waits = known[0] != null
  }

  async #take(client: Redis): Promise<void> {
    const end = performance.now() + this.#takeOverAfter + PATIENCE
    for (;;) {
      const taken = await this.#script(client, TAKE, [this.#token, this.#takeOverAfter])
      if (taken === 'ok') return
      if (performance.now() > end) {
        throw storeFailed(
          `${this.#name}: it is open already, here or in another process; a session has one owner`,
        )
      }
      await new Promise((resolve) => setTimeout(resolve, ATTEMPT))
    }
  }

  async *rows(): AsyncIterable<readonly [name: string, row: Uint8Array]> {
    const client = this.#opened()
    try {
      for (let cursor = '0'; ; ) {
        const [next, found] = (await client.hscanBuffer(this.#name, cursor, 'COUNT', SCAN)) as [
          Buffer,
          Buffer[],
        ]
        for (let at = 0; at < found.length; at += 2) {
          yield [String(found[at]), found[at + 1] as Buffer]
        }
        cursor = String(next)
        if (cursor === '0') return
      }
    } catch (error) {
      throw this.#failure(error)
    }
  }

  /** One at a time, renewals too: each has the next number. */
  write(changes: readonly SessionStoreChange[]): Promise<void> {
    const written = this.#busy.then(() => this.#write(changes))
    this.#busy = written.catch(() => {})
    return written
  }

  async #write(changes: readonly SessionStoreChange[]): Promise<void> {
    const client = this.#opened()
    const number = this.#writes + 1
    const values: (string | number | Buffer)[] = [this.#token, number, this.#takeOverAfter]
    for (const { name, row } of changes) values.push(name, row ? Buffer.from(row) : '')
    let outcome: unknown
    try {
      outcome = await this.#script(client, WRITE, values)
      if (outcome === 'ok' && this.#waits && changes.length > 0) await this.#onDisk(client)
    } catch (error) {
      throw this.#failure(error)
    }
    if (outcome === 'another') {
      throw storeFailed(`${this.#name}: another server has taken it over`)
    }
    if (outcome !== 'ok') {
      throw storeFailed(
        `${this.#name}: the server has gone back to an older copy, in which record numbers are free that ` +
          'were used: remove both keys, and have the peers connect anew',
      )
    }
    this.#writes = number
  }

  async #onDisk(client: Redis): Promise<void> {
    const [local] = (await client.call('WAITAOF', '1', '0', String(PATIENCE))) as [number]
    if (local < 1)
      throw storeFailed(`${this.#name}: the append-only file was not on the disk in time`)
  }

  async close(): Promise<void> {
    clearInterval(this.#renewal)
    const client = this.#client
    if (!client) return
    await this.#busy
    this.#client = undefined
    await this.#script(client, RELEASE, [this.#token]).catch(() => {})
    client.disconnect()
  }

  #script(client: Redis, text: string, values: (string | number | Buffer)[]): Promise<unknown> {
    return client.eval(text, 2, this.#name, `${this.#name}:owner`, ...values)
  }

  #opened(): Redis {
    if (this.#client) return this.#client
    throw storeFailed(`${this.#name}: expected a store that is open`)
  }

  #failure(error: unknown): McbnError {
    return error instanceof McbnError
      ? error
      : storeFailed(`${this.#name}: the server does not answer as it should`, error)
  }
}
