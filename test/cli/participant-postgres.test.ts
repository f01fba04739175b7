// `mcbn participant --store`: a folder moves into PostgreSQL, two processes serve it, and what a person decides with one
// command holds for both. The server is a real one.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { policyOf, workloadOf } from '../consent/participant/fixture.js'
import { type PostgresServer, postgresBinaries, startPostgres } from '../support/postgres.js'
import { expectFailure, expectSuccess, mcbn } from './command.js'
import { folder, play, servingAt } from './participant-fixture.js'

/** A replica looks every second. */
const PATIENCE = { timeout: 20_000 }
const bin = postgresBinaries()
let server: PostgresServer
beforeAll(async () => {
  if (bin === undefined) {
    if (process.env['CI'] === 'true') throw new Error('expected PostgreSQL (Debian: postgresql)')
    console.warn('cli/participant --store: passed over, PostgreSQL is not installed')
    return
  }
  server = await startPostgres(bin)
})
afterAll(() => server?.stop())

describe.skipIf(bin === undefined && process.env['CI'] !== 'true')(
  'cli/participant --store',
  () => {
    it('serves one participant from two processes, until it is withdrawn', async () => {
      const made = await folder({ approval: 'manual', instances: 1 })
      const { env, parent } = made
      const command = (...args: string[]) => mcbn(['participant', ...args], { env })
      const store = ['--store', server.url]

      expectFailure(await command('status', ...store), 1, /expected one participant, got none/)
      expectSuccess(await command('move', '--dir', made.dir, '--to', server.url))
      // Moved is moved: nobody serves the old folder beside the database.
      expectFailure(
        await command('serve', '--dir', made.dir, '--listen', '127.0.0.1:0'),
        1,
        /moved/,
      )

      // What is moved is sealed; a row of an earlier mcbn is sealed in altered-rows.test.ts.
      expectFailure(await command('seal', ...store), 1, /without a seal, got one that has it/)
      expectFailure(await command('seal', '--dir', made.dir), 2, /expected --store/)

      const first = await servingAt(store, env)
      const second = await servingAt(store, env)
      expect(await play(first.url)).toMatchObject({ code: 'manual' })
      const [, id = ''] = await first.child.output(
        /participant approve --store \S+ ([0-9a-f]{16})$/m,
      )
      expectSuccess(await command('approve', ...store, id))
      await expect.poll(() => play(second.url), PATIENCE).toMatchObject({ label: 'alice' })
      const status = await command('status', ...store, '--json')
      expectSuccess(status)
      expect(JSON.parse(status.stdout)).toMatchObject({
        label: 'alice',
        leases: [{ role: 'client' }],
      })

      const policy = join(parent, 'policy.json')
      writeFileSync(policy, JSON.stringify(policyOf({}, { approval: 'automatic', instances: 1 })))
      expectSuccess(await command('policy', ...store, policy))
      // The new policy asks nobody, but allows one instance, whichever of the two is asked.
      const other = workloadOf('client', { instance: '2' })
      for (const { url } of [first, second])
        await expect.poll(() => play(url, other), PATIENCE).toMatchObject({ code: 'policy' })

      expectSuccess(await command('withdraw', ...store, '--yes'))
      for (const { url } of [first, second])
        await expect.poll(() => play(url), PATIENCE).toMatchObject({ code: 'withdrawn' })
      for (const { child } of [first, second])
        expect(await child.stop()).toEqual({ code: 0, signal: null })
      expectSuccess(await command('audit', ...store))
    })
  },
)
