// Whole images: built again under other circumstances, read by others' tools, and run.

import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { chmod } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Spec, Validation } from '@cyclonedx/cyclonedx-library'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { programOf } from '../../src/cli/consent/images.js'
import type { LocalWorkload } from '../../src/consent/attestation/local/claims.js'
import type { Role } from '../../src/consent/descriptor/types.js'
import { McbnError } from '../../src/errors.js'
import { type BuiltImage, buildImage } from '../../src/image/build.js'
import { compareImages } from '../../src/image/compare.js'
import { readLayout, writeLayout } from '../../src/image/layout.js'
import { statementOf } from '../../src/image/provenance.js'
import { sbomOf } from '../../src/image/sbom.js'
import { unpackImage } from '../../src/image/unpack.js'
import { openBundle } from '../../src/signatures/bundle.js'
import { parseStatement } from '../../src/signatures/statement.js'
import { expectFailure, mcbn } from '../cli/command.js'
import { testNetwork } from '../consent/network.js'
import { consentRig } from '../consent/workload/rig.js'
import { Container } from '../support/containers.js'
import { repositoryRoot } from '../support/paths.js'
import { requirePeer } from '../support/peers.js'
import { freeTcpPort } from '../support/ports.js'
import { type Child, run } from '../support/process.js'
import { keyPair } from '../support/sigstore.js'
import { installedCommand } from './installed.js'

/** Megabytes, compressed: what a machine fetches. */
const MOST_MEGABYTES = 60
const BUILD_MS = 300_000

const folder = mkdtempSync(join(tmpdir(), 'mcbn-images-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }), 300_000)
const layouts = { server: join(folder, 'server.oci'), client: join(folder, 'client.oci') } as const

/** The file system of both, as the Dockerfile's stage `rootfs` has it: only their configurations differ. */
const unpacked = join(folder, 'unpacked')
const root = join(unpacked, 'rootfs')

const NOBODY = 65_534
/** Starts a program as another user, who may read this one's files, and with another date: only root can. */
const AS_NOBODY_IN_A_YEAR =
  process.getuid?.() === 0 && requirePeer('setpriv', 'faketime')
    ? [
        ...['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'],
        ...['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search'],
        ...['faketime', '-f', '+400d'],
      ]
    : []

// An image of a sanitized addon would be one that nobody has.
const reachable = process.env['MCBN_SANITIZED'] === undefined && process.platform === 'linux'
const images = reachable ? await built() : undefined

/** Both images; where sources cannot be reached, tests are left out, but not in CI. */
async function built(): Promise<Record<Role, BuiltImage> | undefined> {
  try {
    const server = await buildImage({ role: 'server' })
    return { server, client: await buildImage({ role: 'client' }) }
  } catch (error) {
    const missing = error instanceof McbnError && error.code === 'MCBN_IMAGE_SOURCE_UNAVAILABLE'
    if (!missing || process.env['CI'] === 'true') throw error
    console.warn(`\n!!! SKIPPED: no image could be built: ${error.message}\n`)
    return undefined
  }
}

describe.skipIf(images === undefined)('image', () => {
  beforeAll(async () => {
    for (const role of ['server', 'client'] as const) {
      if (images !== undefined) await writeLayout(images[role], layouts[role])
    }
    await unpackImage(await readLayout(layouts.server), root)
  }, BUILD_MS)

  it(
    'has the same digest from another path, user, umask, home, day, time zone, locale, and as an installed package',
    async () => {
      const command = await installedCommand(join(folder, 'elsewhere'))
      const addon = images?.server.materials.addon?.path ?? ''
      const theirs = join(folder, 'theirs')
      mkdirSync(theirs)
      if (AS_NOBODY_IN_A_YEAR.length > 0) chownSync(theirs, NOBODY, NOBODY)
      const archive = join(theirs, 'other.tar')
      const other = await run(
        'sh',
        [
          '-c',
          'umask 077 && exec "$@"',
          'sh',
          ...AS_NOBODY_IN_A_YEAR,
          ...[process.execPath, command, 'image', 'build', 'server'],
          ...['--addon', addon, '--archive', archive, '--offline', '--cache', cacheFolder()],
        ],
        {
          cwd: theirs,
          env: {
            ...{ HOME: theirs, TZ: 'Asia/Kolkata', LC_ALL: 'tr_TR.UTF-8', USER: 'somebody' },
            // Timers wait as ever.
            FAKETIME_DONT_FAKE_MONOTONIC: '1',
          },
          lifetime: BUILD_MS,
        },
      )
      expect(other.exit, other.report()).toEqual({ code: 0, signal: null })
      expect(other.stdout).toContain(`${images?.server.digest}\n`)
      const diff = await mcbn(['image', 'diff', layouts.server, archive], { lifetime: 60_000 })
      expect([diff.exit.code, diff.stdout, diff.stderr]).toEqual([0, '', ''])
    },
    BUILD_MS,
  )

  it(
    'is one layer apart from an image with a program, which runs in it',
    async () => {
      const app = join(folder, 'app')
      mkdirSync(app)
      const about = { name: 'my-server', version: '1.2.3', main: 'main.mjs' }
      const image = { expose: ['8081/tcp'], args: ['one', 'two'] }
      writeFileSync(join(app, 'package.json'), JSON.stringify({ ...about, mcbn: { image } }))
      const program =
        "import * as tls from 'mcbn/tls'; console.log(typeof tls.connect, ...process.argv.slice(2))"
      writeFileSync(join(app, 'main.mjs'), program)
      const layout = join(folder, 'app.oci')
      const steps: string[] = []
      const onStep = (what: string) => steps.push(what)
      const first = await buildImage({ role: 'server', app, offline: true, onStep })
      expect(steps.slice(-3)).toEqual([
        expect.stringMatching(/^mcbn \d/),
        'packages of my-server',
        'my-server 1.2.3',
      ])
      await writeLayout(first, layout)
      const below = first.layers.slice(0, -1).map(({ digest }) => digest)
      expect(below).toEqual(images?.server.layers.map(({ digest }) => digest))
      expect(
        await mcbn(['image', 'verify', layout, '--app', app, '--offline'], { lifetime: 90_000 }),
      ).toMatchObject({
        exit: { code: 0 },
        stdout: `${first.digest} is what this source says\n`,
      })
      const { privateKey, publicKey } = keyPair()
      writeFileSync(join(folder, 'me.pem'), privateKey)
      writeFileSync(join(folder, 'me.pub.pem'), publicKey)
      const attest = ['image', 'attest', layout, '--app', app, '--offline', '--key', 'me.pem']
      const attested = await mcbn(attest, { cwd: folder, lifetime: 90_000 })
      expect(attested.exit, attested.report()).toEqual({ code: 0, signal: null })
      const bundle = readFileSync(`${layout}.rebuilt.sigstore.json`, 'utf8')
      expect(openBundle(bundle, publicKey, 'rebuilt').subject).toEqual([
        { name: 'my-server', digest: { sha256: first.digest.slice(7) } },
      ])
      const check = ['image', 'verify-signature', layout, '--key', 'me.pub.pem']
      expect(
        await mcbn([...check, '--statement', 'rebuilt'], { cwd: folder, lifetime: 60_000 }),
      ).toMatchObject({ exit: { code: 0 } })
      writeFileSync(join(app, 'main.mjs'), program.replace('typeof', 'TYPEOF'))
      const unsigned = await mcbn([...attest, '--out', 'no'], { cwd: folder, lifetime: 90_000 })
      expectFailure(unsigned, 1, /expected what this source says, got another image/)
      expect(existsSync(join(folder, 'no'))).toBe(false)
      const other = await mcbn(['image', 'verify', layout, '--app', app, '--offline'], {
        lifetime: 90_000,
      })
      expect(other.exit, other.report()).toEqual({ code: 1, signal: null })
      expect(other.stdout).toContain('app/main.mjs: differs\n')
      expect(other.stdout.match(/: differs$/gm)).toHaveLength(1)
      if (!requirePeer('runc')) return
      const appRoot = join(folder, 'app-root')
      await unpackImage(await readLayout(layout), appRoot)
      const ran = container('app', appRoot, await readLayout(layout), {})
      expect((await ran.exited).code, ran.report()).toBe(0)
      expect(ran.stdout).toBe('function one two\n')
    },
    BUILD_MS,
  )

  it('is small, holds no shell, and says what it holds', async () => {
    const { layers, config } = images?.server ?? { layers: [], config: undefined }
    const size = layers.reduce((sum, { blob }) => sum + blob.length, 0) / 1e6
    expect(size).toBeLessThan(MOST_MEGABYTES)
    const programs = await run('find', [root, '-type', 'f', '-perm', '-100'], { lifetime: 20_000 })
    const names = programs.stdout
      .trim()
      .split('\n')
      .map((path) => path.slice(root.length))
    const plain = names.filter((path) => !path.startsWith('/app/node_modules/'))
    expect(plain.sort()).toEqual([
      '/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2',
      '/lib/x86_64-linux-gnu/libc.so.6',
      '/usr/bin/node',
    ])
    expect(config?.value.config).toMatchObject({ User: '65532:65532', WorkingDir: '/app' })
  })

  it('has a bill of materials as CycloneDX wants it, and a statement as in-toto and SLSA do', async () => {
    const bill = sbomOf(images?.server ?? never())
    const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6)
    expect(await validator.validate(JSON.stringify(bill))).toBeNull()
    // The schema is one that can fail.
    expect(await validator.validate(JSON.stringify({ ...bill, unknown: 1 }))).not.toBeNull()
    const statement = JSON.stringify(statementOf(images?.server ?? never()))
    expect(parseStatement(statement, 'provenance').subject).toEqual([
      { name: 'mcbn-server', digest: { sha256: images?.server.digest.slice('sha256:'.length) } },
    ])
  })

  it.skipIf(!requirePeer('skopeo', 'umoci'))(
    'is read by skopeo and by umoci as it was meant',
    async () => {
      const inspected = await run('skopeo', ['inspect', `oci:${layouts.server}`], {
        lifetime: 30_000,
      })
      expect(inspected.exit.code, inspected.report()).toBe(0)
      expect(JSON.parse(inspected.stdout)).toMatchObject({
        Digest: images?.server.digest,
        Architecture: 'amd64',
        Labels: { 'tee.launch_policy.allow_cmd_override': 'false', 'mcbn.role': 'server' },
        Layers: images?.server.layers.map(({ digest }) => digest),
      })
      const bundle = join(folder, 'umoci')
      const unpacked = await run(
        'umoci',
        [
          'unpack',
          ...(process.getuid?.() === 0 ? [] : ['--rootless']),
          '--image',
          `${layouts.server}:server`,
          bundle,
        ],
        { lifetime: 120_000 },
      )
      expect(unpacked.exit.code, unpacked.report()).toBe(0)
      const same = await run(
        'diff',
        ['--recursive', '--no-dereference', join(bundle, 'rootfs'), root],
        { lifetime: 60_000 },
      )
      expect([same.exit.code, same.stdout]).toEqual([0, ''])
      const { process: runs } = JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8')) as {
        process: { args: string[]; user: { uid: number } }
      }
      expect(runs.args).toEqual(programOf(images?.server.config.value ?? never()).args)
      expect(runs.user.uid).toBe(65_532)
    },
    BUILD_MS,
  )

  it.skipIf(!requirePeer('buildah') || process.getuid?.() !== 0)(
    "is what buildah makes of the Dockerfile's server: each file, mode and time, and the configuration",
    async () => {
      const storage = ['--root', 'storage', '--runroot', 'run', '--storage-driver', 'vfs'].map(
        (word) => (/^(storage|run)$/.test(word) ? join(folder, 'buildah', word) : word),
      )
      const buildah = async (command: string, ...args: readonly string[]) => {
        const ran = await run('buildah', [...storage, command, ...args], {
          lifetime: BUILD_MS,
          foreign: true,
        })
        expect(ran.exit.code, ran.report()).toBe(0)
      }
      const created = `${images?.server.created}`
      // The stages before it, which need a daemon's base image, give it this folder.
      const given = ['--build-context', `rootfs=${unpacked}`, '--timestamp', created]
      const dockerfile = ['--file', join(repositoryRoot, 'Dockerfile'), '--target', 'server']
      const empty = join(folder, 'empty')
      mkdirSync(empty)
      const how = ['--isolation', 'chroot', '--tag', 'server']
      await buildah('build', ...how, ...given, ...dockerfile, empty)
      const made = join(folder, 'buildah.oci')
      await buildah('push', 'server', `oci:${made}:server`)
      const found = await compareImages(await readLayout(layouts.server), await readLayout(made))
      expect(found.map(({ path }) => path).filter((path) => !path.startsWith('history.'))).toEqual([
        // buildah 1.28 keeps one protocol of a port; test/image/parts.test.ts reads EXPOSE itself.
        'config.ExposedPorts.8443/udp',
        'config.Labels.io.buildah.version',
      ])
    },
    BUILD_MS,
  )

  it.skipIf(!requirePeer('runc'))(
    'runs as server and client, attested by its own digest: TLS 1.3 and DTLS 1.2 between two containers',
    async () => {
      const network = testNetwork({
        fields: {
          roles: {
            client: { id: 'client.test', images: [images?.client.digest ?? ''] },
            server: { id: 'server.test', images: [images?.server.digest ?? ''] },
          },
        },
      })
      const hash = network.verified.hashHex
      const found = {
        server: await readLayout(layouts.server),
        client: await readLayout(layouts.client),
      }
      const port = await freeTcpPort()
      const listen = [
        '--listen',
        `tls://127.0.0.1:${port}`,
        '--listen',
        `dtls://127.0.0.1:${port}`,
        '--echo',
      ]
      const operator = async (more: Record<string, string>) => ({
        MCBN_DESCRIPTOR_HASH: hash,
        MCBN_DESCRIPTOR: await served(JSON.stringify(network.signed)),
        MCBN_ATTESTER: 'local:/run/container_launcher/teeserver.sock',
        ...more,
      })
      const workload = (role: Role): LocalWorkload => {
        const { env } = programOf(found[role].config)
        return { imageDigest: found[role].digest, env: { ...env, MCBN_DESCRIPTOR_HASH: hash } }
      }
      const rig = await consentRig({
        network,
        rules: { env: { PATH: '/usr/bin', NODE_ENV: 'production' } },
        policy: rolesOf(images?.client.digest ?? '', images?.server.digest ?? '') as object,
      })
      for (const role of ['server', 'client'] as const) {
        rig.workloads[role] = workload(role)
        await chmod(rig.socketPath(role), 0o666)
      }
      const participants = Object.entries(rig.urls)
        .map((entry) => entry.join('='))
        .join(' ')
      const launched = async (
        role: Role,
        more: Record<string, string>,
        cmd?: readonly string[],
      ) => {
        const env = { ...(await operator(more)), MCBN_PARTICIPANTS: participants }
        return container(role, root, found[role], { env, cmd, socket: rig.socketPath(role) })
      }
      const server = await launched('server', {}, listen)
      await server.output(/^listening on dtls:/m)
      for (const protocol of ['tls', 'dtls'] as const) {
        const client = await launched(
          'client',
          { MCBN_CONNECT: `${protocol}://127.0.0.1:${port}` },
          ['--verbose'],
        )
        client.process.stdin?.end('hello from a container\n')
        const exit = await client.exited
        expect(exit.code, `${client.report()}${server.report()}`).toBe(0)
        expect(client.stdout).toBe('hello from a container\n')
        expect(client.stderr).toContain(protocol === 'tls' ? 'TLSv1.3' : 'DTLSv1.2')
      }
    },
    BUILD_MS,
  )
})

interface Launched {
  readonly env?: Readonly<Record<string, string>>
  /** Instead of the image's own. */
  readonly cmd?: readonly string[] | undefined
  readonly socket?: string
}

/** Starts a root file system as its image says: not root, read-only, in its own namespaces except for the network. */
function container(
  name: string,
  root: string,
  { config: { config } }: Awaited<ReturnType<typeof readLayout>>,
  { env = {}, cmd = config.Cmd ?? [], socket }: Launched,
): Child {
  const [uid = 0, gid = 0] = config.User.split(':').map(Number)
  const launcher = '/run/container_launcher/teeserver.sock'
  return Container.start(name, {
    ...{ root, uid, gid },
    args: [...config.Entrypoint, ...cmd],
    env: [...config.Env, ...Object.entries(env).map((entry) => entry.join('='))],
    cwd: config.WorkingDir,
    mounts: [
      { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev'] },
      ...(socket === undefined
        ? []
        : [
            {
              ...{ destination: launcher, type: 'bind' as const, source: socket },
              options: ['bind', 'rw'],
            },
          ]),
    ],
  }).child
}

/** A server of one document: where an operator puts a descriptor. */
async function served(text: string): Promise<string> {
  const server = createServer((_, answer) => answer.end(text))
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/descriptor.json`
}

/** The rules of both roles, each with its own image. */
function rolesOf(client: string, server: string) {
  const rules = (image: string) => ({
    images: [image],
    attestation: ['local'],
    projects: ['local-project'],
    args: [],
    env: { PATH: '/usr/bin', NODE_ENV: 'production' },
    instances: 8,
  })
  return { roles: { client: rules(client), server: rules(server) } }
}

function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(process.env['HOME'] ?? '', '.cache'), 'mcbn')
}

function never(): never {
  throw new Error('no image was built')
}
