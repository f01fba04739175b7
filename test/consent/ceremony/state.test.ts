import { randomBytes } from 'node:crypto'
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { exportPrivate } from '../../../src/consent/base/keys.js'
import { driveStep } from '../../../src/consent/ceremony/drive.js'
import { type CheckedPlan, createPlan } from '../../../src/consent/ceremony/plan.js'
import { CeremonyState } from '../../../src/consent/ceremony/state.js'
import { type CeremonyTransport, MemoryTransport } from '../../../src/consent/ceremony/transport.js'
import { verifySignedDescriptor } from '../../../src/consent/descriptor/signed.js'
import { deriveNetworkKeys } from '../../../src/consent/shares/keys.js'
import { temporaryFolder } from '../../support/paths.js'
import { IMAGES } from './rehearsal.js'

const lock = { keyFile: randomBytes(32) }

/** The process that has each folder open; the next one comes when it has ended. */
const open = new Map<string, CeremonyState>()

async function opened(folder: string): Promise<CeremonyState> {
  open.get(folder)?.close()
  const state = await CeremonyState.open(folder, lock)
  open.set(folder, state)
  return state
}

async function folders(labels: readonly string[]): Promise<Map<string, string>> {
  const made = new Map(labels.map((label) => [label, join(temporaryFolder(), label)] as const))
  for (const [label, folder] of made) {
    open.set(folder, await CeremonyState.create(folder, { label, lock }))
  }
  return made
}

async function planFor(made: ReadonlyMap<string, string>, t?: number): Promise<CheckedPlan> {
  const states = await Promise.all(
    [...made.values()].map((folder) => CeremonyState.read(folder, lock)),
  )
  return createPlan({
    network: 'kept',
    epoch: 1,
    mode: t === undefined ? 'n-of-n' : 't-of-n',
    ...(t !== undefined && { t }),
    participants: states.map(({ card }) => card),
    roles: {
      client: { id: 'client', images: [IMAGES.client] },
      server: { id: 'server', images: [IMAGES.server] },
    },
    validity: { notBefore: 1, notAfter: 2 },
  })
}

/** The process ends at its n-th message: before it is sent, or right after. */
class EndingTransport implements CeremonyTransport {
  #left: number
  readonly #inner: CeremonyTransport
  readonly #when: 'before' | 'after'

  constructor(inner: CeremonyTransport, left: number, when: 'before' | 'after') {
    this.#inner = inner
    this.#left = left
    this.#when = when
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    const last = this.#left === 0
    this.#left -= 1
    if (last && this.#when === 'before') throw new Error('the process ended')
    await this.#inner.put(name, bytes)
    if (last) throw new Error('the process ended')
  }

  get(name: string): Promise<Uint8Array | undefined> {
    return this.#inner.get(name)
  }
}

/** One step in its own process: opens the folder, does it, forgets everything. */
async function step(
  folder: string,
  plan: CheckedPlan,
  transport: CeremonyTransport,
): Promise<boolean> {
  const state = await opened(folder)
  const ceremony = state.ceremony ?? (await state.begin(plan))
  await driveStep(ceremony, { transport, save: () => state.save() })
  return ceremony.finished
}

describe('ceremony/state', () => {
  it.each(
    (['before', 'after'] as const).flatMap((when) => [
      ...[0, 1, 2, 3].map((at) => ({ mode: 'n-of-n', at, when }) as const),
      ...[0, 1, 2, 3, 4, 5].map((at) => ({ mode: 't-of-n', at, when }) as const),
    ]),
  )(
    '$mode: alice is ended $when message $at of hers is sent, and goes on',
    async ({ mode, at, when }) => {
      const made = await folders(['alice', 'bob', 'carol'])
      const plan = await planFor(made, mode === 't-of-n' ? 2 : undefined)
      const board = new MemoryTransport()
      const ending = new EndingTransport(board, at, when)
      let ended = 0
      const finished = new Set<string>()
      for (let round = 0; round < 8 && finished.size < made.size; round += 1) {
        for (const [label, folder] of made) {
          const transport = label === 'alice' && ended === 0 ? ending : board
          try {
            if (await step(folder, plan, transport)) finished.add(label)
          } catch (error) {
            expect(error).toMatchObject({ message: 'the process ended' })
            ended += 1
          }
        }
      }
      expect(ended).toBe(1)
      expect(await keyCheckValues(made, mode === 'n-of-n' ? 3 : 2)).toHaveLength(1)
    },
  )

  it('keeps everything for its owner alone, and no secret in the open', async () => {
    const made = await folders(['alice', 'bob'])
    const plan = await planFor(made, 2)
    const board = new MemoryTransport()
    const folder = made.get('alice') ?? ''
    const secrets: Buffer[] = []
    for (let round = 0; round < 7; round += 1) {
      for (const each of made.values()) await step(each, plan, board)
      const { ceremony, keys } = await opened(folder)
      const secret = ceremony?.secret
      if (secret?.kind === 'polynomial') secrets.push(...secret.polynomial.coefficients)
      if (secret?.kind === 'share') secrets.push(secret.share)
      secrets.push(...Object.values(exportPrivate(keys)))
    }
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    expect(readdirSync(folder).sort()).toEqual([
      'ceremony.json',
      'descriptor.json',
      'lock',
      'participant.json',
      'secrets.json',
    ])
    for (const name of readdirSync(folder)) {
      const path = join(folder, name)
      expect(statSync(path).mode & 0o777).toBe(0o600)
      const content = readFileSync(path, 'latin1')
      for (const secret of secrets) {
        expect(content).not.toContain(secret.toString('base64url'))
        expect(content).not.toContain(secret.toString('hex'))
      }
    }
    const signed = readFileSync(join(folder, 'descriptor.json'))
    expect(verifySignedDescriptor(signed).descriptor.network).toBe('kept')
  })

  it('opens with its own lock only, and not when others could read the folder', async () => {
    const folder = (await folders(['alice'])).get('alice') ?? ''
    await expect(CeremonyState.open(folder, { keyFile: randomBytes(32) })).rejects.toMatchObject({
      code: 'MCBN_STORE_INVALID',
    })
    chmodSync(folder, 0o755)
    await expect(opened(folder)).rejects.toMatchObject({
      code: 'MCBN_STORE_INVALID',
      message: expect.stringContaining('mode 755; chmod 700'),
    })
  })

  it('notices altered files: another label, another plan, another message', async () => {
    const made = await folders(['alice', 'bob'])
    const folder = made.get('alice') ?? ''
    await (await opened(folder)).begin(await planFor(made))
    const alter = async (name: string, change: (text: string) => string) => {
      const path = join(folder, name)
      const before = readFileSync(path, 'utf8')
      writeFileSync(path, change(before))
      const again = opened(folder)
      await expect(again).rejects.toMatchObject({ code: /^MCBN_(STORE|CEREMONY)_INVALID$/ })
      writeFileSync(path, before)
    }
    await alter('participant.json', (text) => text.replace('alice', 'alicf'))
    await alter('ceremony.json', (text) => text.replace('"network":"kept"', '"network":"kepu"'))
    await alter('ceremony.json', (text) =>
      text.replace('\\"round\\":\\"commit', '\\"round\\":\\"package'),
    )
    await alter('ceremony.json', () => '{}')
    await alter('secrets.json', (text) => text.replace('scrypt', 'none').replace('hkdf', 'hkdg'))
    expect((await opened(folder)).ceremony?.round).toBe('commit')
  })

  it('opens, with nothing begun, where the process ended between the files of a next beginning', async () => {
    const made = await folders(['alice', 'bob'])
    const folder = made.get('alice') ?? ''
    const first = await planFor(made)
    const path = join(folder, 'ceremony.json')
    await (await opened(folder)).begin(first)
    const before = readFileSync(path)
    const second = await planFor(made)
    await (await opened(folder)).begin(second)
    writeFileSync(path, before) // as if secrets.json alone had been written
    const state = await opened(folder)
    expect(state.ceremony).toBeUndefined()
    await expect(state.begin(first)).rejects.toThrow(/not begun here before/)
    expect((await state.begin(second)).round).toBe('commit')
  })

  it('begins no plan again that it has left: a second commit would look like a cheater’s', async () => {
    const made = await folders(['alice', 'bob'])
    const folder = made.get('alice') ?? ''
    const [first, second] = [await planFor(made), await planFor(made)]
    await (await opened(folder)).begin(first)
    await (await opened(folder)).begin(second)
    await expect((await opened(folder)).begin(first)).rejects.toMatchObject({
      code: 'MCBN_CEREMONY_INVALID',
    })
    expect((await opened(folder)).ceremony?.plan.hashHex).toBe(second.hashHex)
  })

  it('is one process’s alone: of two, the second would throw the first one’s secret away', async () => {
    const made = await folders(['alice', 'bob'])
    const folder = made.get('alice') ?? ''
    const state = await opened(folder)
    await expect(CeremonyState.open(folder, lock)).rejects.toThrow('got this process')
    await expect(CeremonyState.create(folder, { label: 'alice', lock })).rejects.toThrow(
      'found one',
    )
    await state.begin(await planFor(made))
    state.close()
    state.close()
    await expect(state.save()).rejects.toThrow('got one that was closed')
    expect((await opened(folder)).ceremony?.round).toBe('commit')
  })

  it('makes no participant where one is, and none of a bad label', async () => {
    const folder = (await folders(['alice'])).get('alice') ?? ''
    await expect(CeremonyState.create(folder, { label: 'bob', lock })).rejects.toThrow(
      /found one that has/,
    )
    for (const label of ['Alice', '', 'a-to-b', 'x'.repeat(64)]) {
      await expect(CeremonyState.create(join(folder, 'x'), { label, lock })).rejects.toThrow(
        /label: expected/,
      )
    }
  })

  it('throws no secret away that others may have built on', async () => {
    const made = await folders(['alice', 'bob'])
    const board = new MemoryTransport()
    const plan = await planFor(made)
    const folder = made.get('alice') ?? ''
    for (let round = 0; round < 3; round += 1) {
      for (const each of made.values()) await step(each, plan, board)
    }
    const early = await CeremonyState.read(folder, lock)
    expect(early.ceremony?.round).toBe('agree')
    for (const each of made.values()) await step(each, plan, board)
    const late = await opened(folder)
    expect(late.ceremony?.round).toBe('sign')
    await expect(late.begin(await planFor(made))).rejects.toThrow(/use a new folder/)
    await expect(early.begin(await planFor(made))).rejects.toThrow(/only read/)
  })
})

/** What every choice of `count` of them derives; one value if all is well. */
async function keyCheckValues(made: ReadonlyMap<string, string>, count: number): Promise<string[]> {
  const results = await Promise.all(
    [...made].map(async ([label, folder]) => {
      const { ceremony } = await opened(folder)
      if (ceremony === undefined) throw new Error(`${label} has no ceremony`)
      return { label, ...ceremony.result() }
    }),
  )
  const values = results.map((_, first) => {
    const some = results.map((__, at) => results[(first + at) % results.length]).slice(0, count)
    const shares = new Map(
      some.map((each) => [`${each?.label}`, each?.share ?? Buffer.alloc(0)] as const),
    )
    const descriptor = results[first]?.descriptor
    if (descriptor === undefined) throw new Error('no descriptor')
    return deriveNetworkKeys(descriptor, shares).kcv
  })
  return [...new Set(values)]
}
