// Databases of one PostgreSQL server, each made and dropped for one trial.

import pg from 'pg'
import { type PostgresServer, postgresBinaries, startPostgres } from '../../support/postgres.js'

export class Databases {
  readonly #server: PostgresServer
  readonly #admin: pg.Client

  private constructor(server: PostgresServer, admin: pg.Client) {
    this.#server = server
    this.#admin = admin
  }

  /** @throws {Error} where none is installed. */
  static async start(): Promise<Databases> {
    const bin = postgresBinaries()
    if (bin === undefined) throw new Error('expected PostgreSQL, see docs/DEPENDENCIES.md')
    const server = await startPostgres(bin)
    const admin = new pg.Client({ connectionString: server.url })
    await admin.connect()
    return new Databases(server, admin)
  }

  /** @param template - a database that nobody is connected to; absent: an empty one. @returns its address. */
  async create(name: string, template = 'template1'): Promise<string> {
    await this.#admin.query(`CREATE DATABASE ${name} TEMPLATE ${template}`)
    return this.#server.url.replace('/postgres?', `/${name}?`)
  }

  /** Connections of a process that was killed end with it: the server may still be busy for them. */
  async drop(url: string): Promise<void> {
    await this.#admin.query(`DROP DATABASE ${new URL(url).pathname.slice(1)} WITH (FORCE)`)
  }

  async stop(): Promise<void> {
    await this.#admin.end()
    await this.#server.stop()
  }
}
