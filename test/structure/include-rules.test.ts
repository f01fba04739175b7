// docs/ARCHITECTURE.md says which folder may know what. These tests keep the picture true.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { repositoryRoot } from '../support/paths.js'

interface IncludeRule {
  readonly what: string
  readonly header: RegExp
  readonly allowed: RegExp
}

const INCLUDE_RULES: readonly IncludeRule[] = [
  { what: 'Node-API', header: /^napi\.h$/, allowed: /^native\/(binding\/|addon\.cc$)/ },
  { what: "OpenSSL's SSL", header: /^openssl\/ssl\.h$/, allowed: /^native\/(session|psk)\// },
  {
    what: 'sockets',
    header: /^(sys\/(socket|epoll|eventfd|un)|netinet\/.+|arpa\/inet|netdb|poll|ifaddrs)\.h$/,
    allowed: /^native\/datagram\//,
  },
]

/** Which folders of native/ a folder may include: those below it, and none beside it. */
const NATIVE_LAYERS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  datagram: ['base'],
  record: ['base'],
  trust: ['base'],
  psk: ['base', 'record'],
  session: ['base', 'record', 'psk'],
  dtls13: ['base', 'record', 'psk', 'session'],
  hpke: ['base', 'record', 'dtls13'],
  engine: ['base', 'datagram', 'record', 'psk', 'session', 'dtls13'],
  binding: ['base', 'record', 'trust', 'psk', 'session', 'dtls13', 'hpke', 'engine'],
}

interface ImportRule {
  readonly from: RegExp
  readonly never: RegExp
  readonly why: string
}

const IMPORT_RULES: readonly ImportRule[] = [
  {
    from: /^src\/(psk|discovery|consent\/(?!workload\/|base\/hpke\.ts|store\/process-lock\.ts|attestation\/path\.ts))/,
    never: /^src\/(native|tls|dtls|cli)\//,
    why: 'keys and consent work without the addon, except for the lock of a folder and chains of certificates',
  },
  {
    from: /^src\/consent\/base\//,
    never: /^src\/(native\/(?!hpke\.ts)|tls|dtls|cli)/,
    why: 'sealing is faster with one function of the addon, and works without',
  },
  {
    from: /^src\/consent\/attestation\//,
    never: /^src\/(native\/(?!path\.ts)|tls|dtls|cli)/,
    why: 'chains of certificates need one function of the addon',
  },
  {
    from: /^src\/consent\/store\//,
    never: /^src\/(native\/(?!load\.ts)|tls|dtls|cli)/,
    why: 'the lock of a folder needs one function of the addon',
  },
  {
    from: /^src\/consent\/participant\//,
    never: /^src\/consent\/workload\//,
    why: 'participants share no code with workloads except the messages',
  },
  {
    from: /^src\/consent\/workload\//,
    never: /^src\/(native|cli|consent\/participant)\//,
    why: 'a workload knows sockets and messages, nothing below or above',
  },
  {
    from: /^src\/(tls|dtls|native|keys)\//,
    never: /^src\/(consent|discovery)\//,
    why: 'a transport does not ask where its key came from',
  },
  {
    from: /^src\/(?!cli\/|image\/)/,
    never: /^src\/image\//,
    why: 'a program that connects builds no images',
  },
  {
    from: /^src\/image\//,
    never: /^src\/(native|tls|dtls|keys|discovery|consent\/(?!base\/canonical\.ts))/,
    why: 'an image is made of files, whatever they do',
  },
  {
    from: /^src\/signatures\//,
    never: /^src\/(?!signatures\/|errors\.ts)/,
    why: 'what is signed about an image is text, and verifying it needs nothing else',
  },
  { from: /^src\/(?!cli\/)/, never: /^src\/cli\//, why: 'the library does not know its command' },
  {
    from: /^src\/(?!cli\/|metrics\/)/,
    never: /^src\/metrics\//,
    why: 'what is measured does not know by whom',
  },
  { from: /^src\/tls\//, never: /^src\/dtls\//, why: 'what both share lives beside them' },
  { from: /^src\/dtls\//, never: /^src\/tls\//, why: 'what both share lives beside them' },
  { from: /^src\/native\//, never: /^src\/(tls|dtls)\//, why: 'the addon is below the sockets' },
]

/** A file over 400 lines usually has two owners; over this it certainly does. */
const MOST_LINES = 450

const cpp = filesOf('native', /\.(cc|h)$/)
const typescript = filesOf('src', /\.ts$/)
const ours = [
  ...cpp,
  ...typescript,
  ...filesOf('test', /\.(ts|cc|h)$/),
  ...filesOf('fuzz', /\.(cc|h)$/),
  ...filesOf('bench', /\.(ts|cc|h)$/),
  ...filesOf('examples', /\.ts$/),
]

describe('structure/native', () => {
  it('finds the sources it is about to judge', () => {
    expect(cpp).toContain('native/addon.cc')
    expect(typescript).toContain('src/errors.ts')
  })

  for (const { what, header, allowed } of INCLUDE_RULES) {
    it(`knows ${what} only in ${allowed.source}`, () => {
      const offenders = cpp
        .filter((file) => !allowed.test(file))
        .flatMap((file) => includesOf(file).map((name) => ({ file, name })))
        .filter(({ name }) => header.test(name))
      expect(offenders).toEqual([])
    })
  }
})

describe('structure/native layers', () => {
  const included = new Map(
    [...new Set(cpp.map(folderOf))].map((folder) => [
      folder,
      cpp.filter((file) => folderOf(file) === folder).flatMap(neighboursOf),
    ]),
  )

  it('knows every folder', () => {
    expect([...included.keys()].filter((folder) => folder !== '').sort()).toEqual(
      Object.keys(NATIVE_LAYERS).sort(),
    )
  })

  for (const [folder, allowed] of Object.entries(NATIVE_LAYERS)) {
    it(`native/${folder}/ includes ${allowed.join(', ') || 'nothing else'}, and each of them`, () => {
      const others = (included.get(folder) ?? []).filter(({ target }) => target !== folder)
      expect(others.filter(({ target }) => !allowed.includes(target))).toEqual([])
      expect(allowed.filter((name) => !others.some(({ target }) => target === name))).toEqual([])
    })
  }

  it('puts each folder above those it includes, so that none goes in a circle', () => {
    const order = Object.keys(NATIVE_LAYERS)
    const upwards = Object.entries(NATIVE_LAYERS).flatMap(([folder, allowed]) =>
      allowed.filter((name) => order.indexOf(name) >= order.indexOf(folder)),
    )
    expect(upwards).toEqual([])
  })
})

describe('structure/typescript', () => {
  for (const { from, never, why } of IMPORT_RULES) {
    it(`${from.source} never imports ${never.source}: ${why}`, () => {
      const offenders = typescript
        .filter((file) => from.test(file))
        .flatMap((file) => importsOf(file, 'all').map((target) => ({ file, target })))
        .filter(({ target }) => never.test(target))
      expect(offenders).toEqual([])
    })
  }

  it('has no circle of imports that run', () => {
    expect(circleIn(new Map(typescript.map((file) => [file, importsOf(file, 'running')])))).toEqual(
      [],
    )
  })
})

describe('structure/one binary for several OpenSSL', () => {
  it('compares no state of a handshake by number: OpenSSL 3.2 counts them anew', () => {
    const numbered = filesOf('native', /\.(cc|h)$/).filter((file) =>
      /\bTLS_ST_|SSL_get_state/.test(read(file)),
    )
    expect(numbered).toEqual([])
  })
})

describe('structure/size', () => {
  it(`keeps every file at or under ${MOST_LINES} lines`, () => {
    const long = ours.map((file) => ({ file, lines: read(file).trimEnd().split('\n').length }))
    expect(long.filter(({ lines }) => lines > MOST_LINES)).toEqual([])
  })
})

function filesOf(folder: string, name: RegExp): string[] {
  if (!existsSync(join(repositoryRoot, folder))) return []
  return readdirSync(join(repositoryRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => name.test(file))
    .map((file) => `${folder}/${file}`)
    .sort()
}

function read(file: string): string {
  return readFileSync(join(repositoryRoot, file), 'utf8')
}

function includesOf(file: string): string[] {
  return [...read(file).matchAll(/^\s*#\s*include\s*[<"]([^>"]+)[>"]/gm)].map(
    (match) => `${match[1]}`,
  )
}

/** The folder of native/ that a file is in; empty for addon.cc. */
function folderOf(file: string): string {
  return /^native\/([^/]+)\//.exec(file)?.[1] ?? ''
}

/** What a native file includes from folders of native/. */
function neighboursOf(file: string): { file: string; target: string }[] {
  return includesOf(file)
    .map((name) => folderOf(`native/${name}`))
    .filter((target) => existsSync(join(repositoryRoot, 'native', target)) && target !== '')
    .map((target) => ({ file, target }))
}

/** Relative imports as paths from the root; `running` leaves out those of types, which are erased. */
function importsOf(file: string, which: 'all' | 'running'): string[] {
  const statements = /^\s*(?:import|export)\s+(type\s)?(?:[^'"]*?\sfrom\s+)?['"](\.[^'"]+)['"]/gm
  const dynamic = /\bimport\((\s*)['"](\.[^'"]+)['"]\s*\)/g
  return [statements, dynamic]
    .flatMap((pattern) => [...read(file).matchAll(pattern)])
    .filter(([, type]) => which === 'all' || !type?.startsWith('type'))
    .map(([, , path]) => resolve(repositoryRoot, dirname(file), `${path}`))
    .map((path) => relative(repositoryRoot, path).replace(/\.js$/, '.ts'))
}

/** The files of one circle, in order; empty when there is none. */
function circleIn(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return []
    for (const next of graph.get(file) ?? []) {
      const circle = visit(next, [...path, file])
      if (circle.length > 0) return circle
    }
    done.add(file)
    return []
  }
  for (const file of graph.keys()) {
    const circle = visit(file, [])
    if (circle.length > 0) return circle
  }
  return []
}
