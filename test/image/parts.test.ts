// The parts of an image, without network and without a whole image: what must never get in, and what must not count.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { verifiedImage } from '../../src/cli/consent/images.js'
import { appEntries, appPackageEntries, readApp } from '../../src/image/app.js'
import { descriptorOf, jsonBlob } from '../../src/image/build.js'
import { compareImages } from '../../src/image/compare.js'
import { imageConfig, LABEL, MEDIA_TYPE } from '../../src/image/config.js'
import { unpackDeb } from '../../src/image/deb.js'
import { packEntries, packLayer, unpackEntries } from '../../src/image/layer.js'
import type { FoundImage } from '../../src/image/layout.js'
import { type ImageLock, sha512Of } from '../../src/image/lock.js'
import { type LockedPackage, productionPackages } from '../../src/image/packages.js'
import { debianArchive, debianMirrors, npmTarballs } from '../../src/image/sources.js'
import { ContentStore } from '../../src/image/store.js'
import { completed, directory, type Entry, file, symlink } from '../../src/image/tree.js'
import { unpackImage } from '../../src/image/unpack.js'
import { expectFailure, mcbn } from '../cli/command.js'
import { repositoryRoot, temporaryFolder } from '../support/paths.js'

const INVALID = { code: 'MCBN_IMAGE_INVALID' }
const UNAVAILABLE = { code: 'MCBN_IMAGE_SOURCE_UNAVAILABLE' }
const offline = () => new ContentStore({ dir: temporaryFolder(), offline: true })

describe('image/tree', () => {
  it.each(['../x', 'a/../../x', '/etc/passwd', 'a//b', './a', '', 'a\0b'])(
    'refuses the path %j',
    (path) => {
      expect(() => completed([file(path, '')])).toThrow(expect.objectContaining(INVALID))
    },
  )

  it('refuses a path that is there twice, and one through a file', () => {
    expect(() => completed([file('a', '1'), file('a', '2')])).toThrow(/there twice/)
    expect(() => completed([symlink('a', '/etc'), file('a/b', '')])).toThrow(/a is a symlink/)
  })

  it('sorts by bytes, whatever the locale, and adds the folders', () => {
    const paths = completed([file('b/Z', ''), file('b/a', ''), file('B', ''), file('b/ä', '')])
    expect(paths.map(({ path }) => path)).toEqual(['B', 'b', 'b/Z', 'b/a', 'b/ä'])
  })
})

describe('cli/consent/images', () => {
  it("says how to name the program's folder, in the words of the option", async () => {
    const layout = join(temporaryFolder(), 'server.oci')
    const config = jsonBlob(MEDIA_TYPE.config, { config: { Labels: { [LABEL.app]: 'my-server' } } })
    const manifest = jsonBlob(MEDIA_TYPE.manifest, { config: descriptorOf(config), layers: [] })
    mkdirSync(join(layout, 'blobs', 'sha256'), { recursive: true })
    const index = JSON.stringify({ manifests: [descriptorOf(manifest)] })
    writeFileSync(join(layout, 'index.json'), index)
    for (const { digest, bytes } of [config, manifest]) {
      writeFileSync(join(layout, 'blobs', ...digest.split(':')), bytes)
    }
    await expect(verifiedImage(layout)).rejects.toMatchObject({
      code: 'MCBN_OPTION_CONFLICT',
      message: `--verify-image: ${layout} has my-server in it: expected ${layout}=<folder of that program>, got no folder`,
    })
  })
})

describe('image/layer', () => {
  const entries: readonly Entry[] = [
    file('usr/bin/node', Buffer.alloc(3_000_000, 'node'), true),
    file(`app/${'long/'.repeat(60)}file.js`, 'text'),
    symlink('lib64', 'lib'),
    directory('tmp', 0o1777),
  ]

  it('says why an archive cannot be read: cut off, or with a time before 1970 as GNU tar has it', async () => {
    const cut = await packEntries(completed(entries), 1e9)
    await expect(unpackEntries(cut.subarray(0, 700), 'layer 1')).rejects.toMatchObject({
      ...INVALID,
      message: expect.stringMatching(/^layer 1: expected a tar archive, got: .*truncated/),
    })
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'old'), 'text')
    const then = new Date('1960-01-01')
    utimesSync(join(folder, 'old'), then, then)
    const archive = execFileSync('tar', ['--format=gnu', '-c', '-C', folder, 'old'])
    await expect(unpackEntries(archive, 'layer 1')).rejects.toMatchObject({
      ...INVALID,
      message: expect.stringMatching(/^layer 1: expected a tar archive, got: .*number/),
    })
  })

  it('packs the same bytes whatever the order, with no name, no user and one time', async () => {
    const [one, other] = await Promise.all(
      [entries, [...entries].reverse()].map((given) => packLayer('a', given, 1e9, offline())),
    )
    expect(one?.digest).toBe(other?.digest)
    expect((await packLayer('a', [file('a', '')], 1, offline())).digest).not.toBe(
      (await packLayer('a', [file('a', '')], 2, offline())).digest,
    )
    // What fflate makes of it, and nothing else: a change here changes every digest.
    expect(one?.digest).toBe(PINNED)
    const unpacked = await unpackEntries(await packEntries(completed(entries), 1e9), 'tar')
    expect(new Set(unpacked.map(({ uid, gid, mtime }) => `${uid} ${gid} ${mtime}`))).toEqual(
      new Set(['0 0 1000000000']),
    )
    expect(unpacked.find(({ path }) => path === 'tmp')?.mode).toBe(0o1777)
  })

  it('believes no compressed layer that somebody put into the store', async () => {
    const store = offline()
    const honest = await packLayer('a', entries, 0, store)
    const name = `gzip-fflate-0.8.3-level-6-${honest.diffId.slice('sha256:'.length)}`
    const other = await packLayer('b', [file('evil', '')], 0, store)
    writeFileSync(join(store.dir, name), other.blob)
    expect((await packLayer('a', entries, 0, store)).digest).toBe(honest.digest)
  })
})

/** Of the entries above. */
const PINNED = 'sha256:8eb21572454f918d7dc05b62eda8191e9d18ce0634779376542c9d3fcc0eb9a9'

describe('image/sources', () => {
  const one = {
    name: 'ms',
    version: '2.1.3',
    integrity: `sha512-${Buffer.alloc(64).toString('base64')}`,
  }

  it('fetches nothing when told so, and says what is missing', async () => {
    await expect(npmTarballs([one], offline(), repositoryRoot)).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringMatching(/ms@2\.1\.3 is not in .*without --offline/),
    })
  })

  it('refuses bytes with another hash, and hashes that are not SHA-512', async () => {
    const store = new ContentStore({ dir: temporaryFolder() })
    await expect(store.put('ms', 'sha512', sha512Of(one), Buffer.from('x'))).rejects.toMatchObject(
      UNAVAILABLE,
    )
    expect(() => sha512Of({ ...one, integrity: 'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=' })).toThrow(
      /sha512/,
    )
    const lib = { name: 'libc6', version: '1', path: 'pool/x.deb', sha256: '0'.repeat(64) }
    await expect(debianArchive(lib, ['http://127.0.0.1:9'], store)).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringMatching(/no mirror of Debian can be reached .*check the network/),
    })
    const mirror = createServer((_, answer) => answer.writeHead(404).end())
    await once(mirror.listen(0, '127.0.0.1'), 'listening')
    const { port } = mirror.address() as AddressInfo
    const both = ['http://127.0.0.1:9', `http://127.0.0.1:${port}/debian/`]
    await expect(debianArchive(lib, both, store)).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringMatching(
        /no mirror of Debian has pool\/x\.deb .*drop what was replaced/,
      ),
    })
    mirror.close()
  })

  it("asks each mirror once, however apt's lists end its address", async () => {
    const bin = temporaryFolder()
    const apt = '#!/bin/sh\necho "http://deb.debian.org/debian/ Debian"\n'
    writeFileSync(join(bin, 'apt-get'), apt, { mode: 0o755 })
    vi.stubEnv('PATH', `${bin}:${process.env['PATH']}`)
    vi.stubEnv('MCBN_DEBIAN_MIRROR', '')
    try {
      expect(await debianMirrors()).toEqual([
        'http://deb.debian.org/debian',
        'http://deb.debian.org/debian-security',
      ])
    } finally {
      vi.unstubAllEnvs()
    }
  })

  it('does not take what is kept for what it should be', async () => {
    const store = offline()
    const sha256 = createHash('sha256').update('right').digest('hex')
    await store.put('x', 'sha256', sha256, Buffer.from('right'))
    writeFileSync(join(store.dir, `sha256-${sha256}`), 'wrong')
    expect(await store.find('sha256', sha256)).toBeUndefined()
  })

  it.each(['', '!<arch>\n', `!<arch>\n${'x'.repeat(48)}99999999  \`\n`])(
    'refuses what is no Debian package: %j',
    async (text) => {
      await expect(unpackDeb('x', Buffer.from(text))).rejects.toMatchObject(INVALID)
    },
  )
})

describe('image/packages', () => {
  const good = { version: '1.0.0', integrity: 'sha512-x' }
  const places = (packages: Record<string, LockedPackage>) =>
    productionPackages(packages, 'linux/arm64').map(({ folder }) => folder)

  it('takes what runs in production on the platform', () => {
    expect(
      places({
        '': {},
        'node_modules/a': good,
        'node_modules/a/node_modules/@s/b': good,
        'node_modules/dev': { ...good, dev: true },
        'node_modules/bundled': { inBundle: true },
        'node_modules/x64': { ...good, optional: true, cpu: ['x64'] },
        'node_modules/arm': { ...good, optional: true, cpu: ['arm64'], libc: ['glibc'] },
        'node_modules/musl': { ...good, optional: true, libc: ['musl'] },
        'node_modules/not-arm': { ...good, optional: true, cpu: ['!arm64'] },
        '../elsewhere': good,
      }),
    ).toEqual(['node_modules/a', 'node_modules/a/node_modules/@s/b', 'node_modules/arm'])
  })

  it('refuses links and repositories, which have no hash', () => {
    expect(() => places({ 'node_modules/a': { resolved: '../a', link: true } })).toThrow(
      /a link to \.\.\/a/,
    )
    expect(() => places({ 'node_modules/a': { version: '1.0.0' } })).toThrow(/no integrity/)
  })

  it('has in image.lock what package-lock.json has', () => {
    const read = (name: string) => JSON.parse(readFileSync(join(repositoryRoot, name), 'utf8'))
    const { packages } = read('image.lock') as ImageLock
    const locked = productionPackages(read('package-lock.json').packages, 'linux/amd64')
    const expected = locked.map(({ folder, ...one }) => [folder, one])
    expect(packages, 'run node scripts/image-lock.mjs').toEqual(Object.fromEntries(expected))
  })
})

describe('cli/image', () => {
  it('takes no other time than seconds, and says so', async () => {
    const made = await mcbn(['image', 'build', 'server', '--out', 'x', '--offline'], {
      cwd: temporaryFolder(),
      env: { SOURCE_DATE_EPOCH: 'yesterday' },
    })
    expectFailure(made, 2, /\$SOURCE_DATE_EPOCH: expected seconds since 1970, got yesterday/)
  })
})

describe('image/app', () => {
  function app(
    manifest: object = {},
    files: Record<string, string> = { 'main.mjs': 'run()' },
  ): string {
    const folder = temporaryFolder()
    const about = { name: 'app', version: '1.0.0', main: 'main.mjs', ...manifest }
    for (const [name, text] of Object.entries({
      'package.json': JSON.stringify(about),
      ...files,
    })) {
      mkdirSync(join(folder, name, '..'), { recursive: true })
      writeFileSync(join(folder, name), text)
    }
    return folder
  }

  it.each([
    [{ name: 5 }, /name: expected a string/],
    [{ dependencies: { ms: '2' } }, /package-lock\.json: expected one, for ms/],
    [{ mcbn: { image: { expose: ['http'] } } }, /mcbn\.image\.expose/],
    [{ mcbn: { image: { cmd: [] } } }, /got "cmd"/],
    [{ mcbn: { image: { env: { 'A=B': 'c' } } } }, /mcbn\.image\.env/],
    [{ mcbn: { image: { nodeArgs: ['main.js'] } } }, /mcbn\.image\.nodeArgs/],
  ])('refuses %j', async (manifest, message) => {
    const error = { ...INVALID, message: expect.stringMatching(message) }
    await expect(readApp(app(manifest), 'linux/amd64')).rejects.toMatchObject(error)
  })

  it('refuses a program that npm would not publish', async () => {
    const folder = app({ files: ['lib'] }, { 'lib/a.js': '', 'other.mjs': '' })
    await expect(appEntries(await readApp(folder, 'linux/amd64'))).rejects.toMatchObject(INVALID)
  })

  it('takes the files that npm would publish, without permissions', async () => {
    const folder = app(
      {},
      { 'main.mjs': 'run()', '.npmrc': 'secret', 'node_modules/x/index.js': '' },
    )
    chmodSync(join(folder, 'main.mjs'), 0o700)
    const entries = await appEntries(await readApp(folder, 'linux/amd64'))
    expect(entries.map(({ path, mode }) => [path, mode])).toEqual([
      ['app/main.mjs', 0o644],
      ['app/package.json', 0o644],
    ])
  })

  it('takes a tarball beside the lock file, if it has the hash of the lock file', async () => {
    const tarball = Buffer.from(await packEntries(completed([file('package/index.js', 'x')]), 0))
    const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`
    const lock = (resolved: string) =>
      JSON.stringify({
        packages: { 'node_modules/dep': { version: '1.0.0', integrity, resolved } },
      })
    const manifest = { dependencies: { dep: 'file:dep.tgz' } }
    const files = { 'main.mjs': '', 'package-lock.json': lock('file:dep.tgz') }
    const folder = app(manifest, files)
    writeFileSync(join(folder, 'dep.tgz'), tarball)
    const read = await readApp(folder, 'linux/amd64')
    const entries = await appPackageEntries(read, offline())
    expect(entries.map(({ path }) => path)).toEqual(['app/node_modules/dep/index.js'])
    writeFileSync(join(folder, 'dep.tgz'), 'other')
    await expect(appPackageEntries(read, offline())).rejects.toMatchObject(INVALID)
  })
})

describe('image/compare', () => {
  async function image(entries: readonly Entry[], user = '1:1', created = 0): Promise<FoundImage> {
    const layer = await packLayer('a', entries, created, offline())
    return {
      digest: `${layer.digest} ${user}`,
      layers: [layer],
      config: { config: { User: user } } as FoundImage['config'],
    }
  }

  it('names the file of which one byte differs, and where', async () => {
    const text = (last: string) => [file('app/a.js', `one\ntwo ${last}\n`), file('app/b', 'same')]
    const bytes = (last: number) => [file('app/b', Buffer.from([0, 1, last]))]
    const found = await compareImages(await image(text('x')), await image(text('y')))
    expect(found).toMatchObject([{ path: 'app/a.js', kind: 'differs' }])
    expect(found[0]?.details.slice(-3)).toEqual(['first difference: line 2', '- two x', '+ two y'])
    const binary = await compareImages(await image(bytes(2)), await image(bytes(3)))
    expect(binary[0]?.details.at(-1)).toBe('first difference: byte 2')
  })

  it('tells modes, times, what is only in one, and the configuration', async () => {
    const found = await compareImages(
      await image([file('a', '', true), file('b', '')], '1:1', 5),
      await image([file('a', ''), file('c', '')], '0:0', 6),
    )
    expect(found).toEqual([
      { path: 'a', kind: 'differs', details: ['mode: 755 | 644', 'time: 5 | 6'] },
      { path: 'b', kind: 'only-in-first', details: ['file, mode 644, 0 bytes'] },
      { path: 'c', kind: 'only-in-second', details: ['file, mode 644, 0 bytes'] },
      { path: 'config.User', kind: 'configuration', details: ['1:1 | 0:0'] },
    ])
  })

  it('unpacks no deletion, and nothing through a link', async () => {
    const tars = [[file('a/.wh.b', '')], [symlink('a', '/tmp'), file('a/x', '')]]
    for (const entries of tars) {
      const blob = await packEntries(entries, 0)
      const evil = { ...(await image([])), layers: [{ digest: 'sha256:evil', blob }] }
      const folder = join(temporaryFolder(), 'root')
      await expect(unpackImage(evil, folder)).rejects.toMatchObject(INVALID)
    }
  })
})

describe('image/config', () => {
  it('is what the Dockerfile says of its server', () => {
    const { config } = imageConfig({
      role: 'server',
      platform: 'linux/amd64',
      app: undefined,
      version: packageVersion(),
      created: 0,
      layers: [],
    })
    expect(dockerfileStage('server')).toEqual({
      User: config.User,
      Env: config.Env,
      Entrypoint: config.Entrypoint,
      Cmd: config.Cmd,
      ExposedPorts: Object.keys(config.ExposedPorts ?? {}),
      WorkingDir: config.WorkingDir,
      StopSignal: config.StopSignal,
      Labels: config.Labels,
    })
  })

  it('reports nothing to the operator and takes nothing else from him, whatever the program', () => {
    const settings = {
      expose: [],
      env: {},
      allowEnvOverride: [],
      args: [],
      nodeArgs: ['--no-addons'],
    }
    const app = {
      name: 'a',
      version: '1',
      main: 'm.js',
      folder: '',
      settings,
      packages: [],
      bringsMcbn: true,
    }
    const { config } = imageConfig({
      role: 'client',
      platform: 'linux/arm64',
      app,
      version: '1',
      created: 0,
      layers: [],
    })
    expect(config.Entrypoint).toEqual(['/usr/bin/node', '--no-addons', '/app/m.js'])
    expect(config.Labels).toMatchObject({
      'tee.launch_policy.allow_env_override': '',
      'tee.launch_policy.log_redirect': 'never',
    })
    expect(Object.keys(config.Labels)).not.toContain('tee.launch_policy.allow_mount_destinations')
  })
})

/** What a stage of the Dockerfile says about its image. */
function dockerfileStage(name: string) {
  const text = readFileSync(join(repositoryRoot, 'Dockerfile'), 'utf8')
  const [, stage = ''] =
    new RegExp(`^FROM scratch AS ${name}$([\\s\\S]*?)(?=^FROM )`, 'm').exec(text) ?? []
  const all = (word: string) =>
    [...stage.matchAll(new RegExp(`^${word} (.+)$`, 'gm'))].map(([, rest]) => `${rest}`)
  const pairs = (word: string) =>
    all(word).map((text) => text.replaceAll('"', '').split(/=(.*)/s).slice(0, 2))
  return {
    User: all('USER')[0],
    Env: pairs('ENV').map((pair) => pair.join('=')),
    Entrypoint: JSON.parse(`${all('ENTRYPOINT')[0]}`),
    Cmd: JSON.parse(`${all('CMD')[0]}`),
    ExposedPorts: all('EXPOSE'),
    WorkingDir: all('WORKDIR')[0],
    StopSignal: all('STOPSIGNAL')[0],
    Labels: Object.fromEntries(pairs('LABEL')),
  }
}

function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8'))
  return `${version}`
}
