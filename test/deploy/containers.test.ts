// The compose file and the manifest of examples/deploy, run: the participant's image, and around it what they say,
// user, command, root, mounts, temporary files, limits. By runc: a daemon or a cluster would ask for the same.

import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { createStore } from '../../src/consent/store/open.js'
import { McbnError } from '../../src/errors.js'
import { type BuiltImage, buildImage } from '../../src/image/build.js'
import { readLayout, writeLayout } from '../../src/image/layout.js'
import { unpackImage } from '../../src/image/unpack.js'
import { CLIENT_IMAGE, testNetwork } from '../consent/network.js'
import { Container, type ContainerOptions, type Mount } from '../support/containers.js'
import { repositoryRoot, temporaryFolder } from '../support/paths.js'
import { requirePeer } from '../support/peers.js'

const read = (name: string) => readFileSync(join(repositoryRoot, 'examples/deploy', name), 'utf8')
const LIFETIME_MS = 300_000
const OWNER = 65_532

const canRun =
  process.platform === 'linux' &&
  process.getuid?.() === 0 &&
  process.env['MCBN_SANITIZED'] === undefined &&
  requirePeer('runc')
const image = canRun ? await built() : undefined

/** Where its sources cannot be reached, tests are left out, but not in CI. */
async function built(): Promise<BuiltImage | undefined> {
  try {
    return await buildImage({ role: 'participant' })
  } catch (error) {
    const missing = error instanceof McbnError && error.code === 'MCBN_IMAGE_SOURCE_UNAVAILABLE'
    if (!missing || process.env['CI'] === 'true') throw error
    console.warn(`\n!!! SKIPPED: no image could be built: ${error.message}\n`)
    return undefined
  }
}

interface Host {
  readonly root: string
  readonly config: Awaited<ReturnType<typeof readLayout>>['config']['config']
  /** The participant's, owned by 65532 and closed to others. */
  readonly folder: string
  readonly keyFile: string
}

/** What has to be there before: an image, a folder with an epoch, its key file. */
async function host(): Promise<Host> {
  const at = temporaryFolder()
  const layout = join(at, 'participant.oci')
  await writeLayout(image as BuiltImage, layout)
  const found = await readLayout(layout)
  const root = join(at, 'root')
  await unpackImage(found, root)
  const network = testNetwork({ labels: ['alice', 'bob'] })
  const keys = network.keys.get('alice')
  const share = network.shares.get('alice')
  if (keys === undefined || share === undefined) throw new Error('expected alice')
  const keyFile = join(at, 'alice.key')
  const lock = { keyFile: Buffer.alloc(32, 5).map((byte, place) => byte + place) }
  writeFileSync(keyFile, lock.keyFile, { mode: 0o600 })
  const folder = join(at, 'alice')
  const store = await createStore(folder, lock, { label: 'alice', keys })
  const policy = {
    version: 'mcbn/1',
    network: network.descriptor.network,
    descriptorHash: network.verified.hashHex,
    roles: {
      client: { images: [CLIENT_IMAGE], attestation: ['gcp-cs-oidc'], projects: ['p'], args: [] },
    },
  } as const
  await store.installEpoch({ descriptor: network.signed, share, policy }, lock)
  await store.close()
  for (const entry of ['.', ...readdirSync(folder, { recursive: true, encoding: 'utf8' })]) {
    chownSync(join(folder, entry), OWNER, OWNER)
  }
  return { root, config: found.config.config, folder, keyFile }
}

/** What both run alike: the image's program with the arguments of the description. */
function programOf({ root, config }: Host, args: readonly string[]) {
  return {
    ...{ root, args: [...config.Entrypoint, ...args], env: config.Env, cwd: config.WorkingDir },
    ownNetwork: true,
  }
}

const bind = (source: string, destination: string, how: 'rw' | 'ro'): Mount => ({
  ...{ source, destination, type: 'bind' },
  options: ['bind', how],
})

/** docker-compose's words, each of those in the file; another one is a failure. */
function composed(at: Host): { readonly options: ContainerOptions; readonly health: string[] } {
  const document = parse(read('compose/compose.yaml'))
  const { command, user, volumes, secrets, tmpfs, ulimits, healthcheck, ...rest } =
    document.services.participant
  const { read_only, cap_drop, security_opt, ...unread } = rest
  // What a daemon does around a container, and cgroups.
  const around = ['image', 'mem_limit', 'pids_limit', 'ports', 'restart', 'stop_grace_period']
  expect(Object.keys(unread).sort()).toEqual(around)
  const [uid, gid] = user.split(':').map(Number)
  expect([volumes, secrets, cap_drop]).toEqual([
    ['./alice:/participant'],
    ['mcbn-participant'],
    ['ALL'],
  ])
  expect(document.secrets).toEqual({ 'mcbn-participant': { file: './alice.key' } })
  const [, tmp, options] = /^(\/\w+):(.*)$/.exec(tmpfs[0]) ?? []
  // A daemon without swarm mounts the file itself, with its owner and mode.
  chownSync(at.keyFile, OWNER, OWNER)
  return {
    options: {
      ...programOf(at, command),
      ...{ uid, gid, writable: !read_only, capabilities: [] },
      noNewPrivileges: security_opt.includes('no-new-privileges:true'),
      rlimits: [{ type: 'RLIMIT_CORE', soft: ulimits.core, hard: ulimits.core }],
      mounts: [
        bind(at.folder, '/participant', 'rw'),
        bind(at.keyFile, '/run/secrets/mcbn-participant', 'ro'),
        {
          ...{ destination: `${tmp}`, type: 'tmpfs', source: 'tmpfs' },
          options: ['nosuid', 'nodev', ...`${options}`.split(',')],
        },
      ],
    },
    health: healthcheck.test.slice(1),
  }
}

/** The words of Kubernetes in the manifest. */
function orchestrated(at: Host): ContainerOptions {
  const set = parseAllDocuments(read('kubernetes/participant.yaml'))
    .map((document) => document.toJS())
    .find(({ kind }) => kind === 'StatefulSet')
  const pod = set.spec.template.spec
  const [container] = pod.containers
  const secret = join(temporaryFolder(), 'secret')
  mkdirSync(secret)
  cpSync(at.keyFile, join(secret, 'key'))
  const of = (name: string) => pod.volumes.find((volume: { name: string }) => volume.name === name)
  chmodSync(join(secret, 'key'), of('key').secret.defaultMode)
  expect(of('tmp').emptyDir).toEqual({ medium: 'Memory', sizeLimit: '1Mi' })
  const volumes: Readonly<Record<string, (to: string) => Mount>> = {
    folder: (to) => bind(at.folder, to, 'rw'),
    key: (to) => bind(secret, to, 'ro'),
    tmp: (destination) => ({
      ...{ destination, type: 'tmpfs', source: 'tmpfs' },
      // As the kubelet makes it: for everybody, since the pod has no fsGroup.
      options: ['nosuid', 'nodev', 'mode=0777', 'size=1m'],
    }),
  }
  const { securityContext } = container
  return {
    ...programOf(at, container.args),
    ...{ uid: pod.securityContext.runAsUser, gid: pod.securityContext.runAsGroup },
    writable: !securityContext.readOnlyRootFilesystem,
    noNewPrivileges: !securityContext.allowPrivilegeEscalation,
    mounts: container.volumeMounts.map(({ name, mountPath }: { name: string; mountPath: string }) =>
      (volumes[name] as (to: string) => Mount)(mountPath),
    ),
  }
}

const node = (program: string) => ['/usr/bin/node', '-e', program]
const asked = (url: string) =>
  node(`fetch('${url}').then(async (it) => console.log(it.status, await it.text()))`)

/** That it serves, can write where it must and nowhere else, and ends when it is asked to. */
async function expectToServe(container: Container): Promise<void> {
  await container.child.output(/"event":"listening"|listening/i)
  const status = await container.exec(...asked('http://127.0.0.1:7001/v1/status'))
  expect(status.stdout, status.report() + container.child.report()).toMatch(
    /^200 .*"label":"alice"/,
  )
  const ready = await container.exec(...asked('http://127.0.0.1:9464/readyz'))
  expect(ready.stdout, ready.report()).toMatch(/^200 /)
  const written = await container.exec(
    ...node(`
      for (const path of ['/', '/app', '/run', '/tmp', '/participant']) {
        try { fs.writeFileSync(path + '/x', ''); fs.unlinkSync(path + '/x'); console.log(path) } catch {}
      }
      console.log(process.getuid(), fs.statSync('/tmp/token').mode & 0o777)
      console.log(/CapEff:\\t(\\w+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1])
      console.log(/NoNewPrivs:\\t(\\d)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1])`),
  )
  expect(written.stdout.trim().split('\n'), written.report()).toEqual([
    ...['/tmp', '/participant', `${OWNER} ${0o600}`, '0000000000000000', '1'],
  ])
  await container.kill('TERM')
  expect((await container.child.exited).code, container.child.report()).toBe(0)
}

describe.skipIf(image === undefined)('deploy/containers', () => {
  it(
    'the compose file runs a participant, and its health check finds it well',
    async () => {
      const { options, health } = composed(await host())
      const container = Container.start('compose', options)
      await container.child.output(/listening/i)
      const well = await container.exec(...health)
      expect(well.exit, well.report()).toEqual({ code: 0, signal: null })
      await expectToServe(container)
    },
    LIFETIME_MS,
  )

  it(
    "the compose file's health check finds a participant ill that does not serve",
    async () => {
      const { options, health } = composed(await host())
      const idle = node('setInterval(() => {}, 1_000); console.log("idle")')
      const container = Container.start('ill', { ...options, args: idle })
      await container.child.output('idle')
      expect((await container.exec(...health)).exit.code).toBe(1)
    },
    LIFETIME_MS,
  )

  it(
    'the manifest runs a participant',
    async () => {
      await expectToServe(Container.start('pod', orchestrated(await host())))
    },
    LIFETIME_MS,
  )

  it(
    'a folder that others can get at is refused, as the manifest says of fsGroup',
    async () => {
      const at = await host()
      chmodSync(at.folder, 0o770)
      const container = Container.start('open', orchestrated(at))
      expect((await container.child.exited).code).not.toBe(0)
      expect(container.child.report()).toMatch(/MCBN_STORE_INVALID/)
    },
    LIFETIME_MS,
  )
})
