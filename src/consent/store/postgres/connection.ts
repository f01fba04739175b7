// Connections to a database, and its errors as ours. The password in an address is never shown.

import { McbnError } from '../../../errors.js'
import { invalid } from '../files.js'

/** Connections of one process: writes go one after the other, what is read needs few. */
const MOST_CONNECTIONS = 4
const CONNECT_MS = 10_000
/** A statement that takes longer is ended, so that nothing waits behind a lock for ever. */
const STATEMENT_MS = 20_000

/**
 * As much of a connection as is used here. The types of `pg` would be part of ours then, and have to be
 * installed by everyone who compiles against mcbn.
 */
export interface Connection {
  query<Row = unknown>(
    text: string,
    values?: readonly unknown[],
  ): Promise<{ readonly rows: Row[]; readonly rowCount: number | null }>
}

/** One of a database's few connections. */
export interface Lent extends Connection {
  /** @param broken - it is closed instead of lent again. */
  release(broken?: boolean): void
}

export interface Database extends Connection {
  connect(): Promise<Lent>
  end(): Promise<void>
}

/** @param url - `postgres://user:password@host:port/database`, or `?host=/folder` of a Unix socket. */
export async function connect(url: string): Promise<Database> {
  // Loaded when first needed: a folder has no use for it. webpack leaves it where it is installed, and would
  // warn of pg-native, which pg can do without.
  const { default: pg } = await import(/* webpackIgnore: true */ 'pg')
  const pool = new pg.Pool({
    connectionString: url,
    max: MOST_CONNECTIONS,
    connectionTimeoutMillis: CONNECT_MS,
    statement_timeout: STATEMENT_MS,
    application_name: 'mcbn',
    // A commit that a power failure takes back would release a share without its line.
    options: '-c synchronous_commit=on -c default_transaction_isolation=read\\ committed',
  })
  // An idle connection that breaks is replaced; the next query says what is wrong.
  pool.on('error', () => undefined)
  return pool as unknown as Database
}

/** For people and messages. */
export function nameOf(url: string): string {
  // The driver takes `user@/database`, which is no URL.
  const whole = url.replace('@/', '@socket/')
  if (!URL.canParse(whole)) return 'postgres://'
  const { protocol, host, pathname, searchParams } = new URL(whole)
  return `${protocol}//${searchParams.get('host') ?? host}${pathname}`
}

/** Whether an address is one of a database. */
export function isPostgres(text: string): boolean {
  return /^postgres(ql)?:\/\//.test(text)
}

/** One transaction: all of it, or nothing. */
export async function transaction<Result>(
  pool: Database,
  name: string,
  task: (client: Connection) => Promise<Result>,
): Promise<Result> {
  let client: Lent
  try {
    client = await pool.connect()
  } catch (error) {
    throw failed(name, error)
  }
  let broken = false
  try {
    await client.query('BEGIN')
    const result = await task(client)
    await client.query('COMMIT')
    return result
  } catch (error) {
    // Where even this fails, the connection is of no use; the server ends its transaction with it.
    await client.query('ROLLBACK').catch(() => {
      broken = true
    })
    throw failed(name, error)
  } finally {
    client.release(broken)
  }
}

export function failed(name: string, error: unknown): Error {
  if (error instanceof McbnError) return error
  const { code, message } = Object(error) as { readonly code?: unknown; readonly message?: unknown }
  // A message of the driver can repeat the address, password included; a code cannot.
  const reason =
    typeof code === 'string' ? code : /timeout/i.test(`${message}`) ? 'timeout' : 'error'
  return invalid(`${name}: expected a database that answers, got ${reason}`, error)
}
