// esbuild, rollup and webpack, to ES modules and to CommonJS: a user's program with mcbn inside runs where neither
// node_modules nor the sources are. docs/INSTALL.md says how; these are its commands.

import { cpSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'
import { type InputPluginOption, rollup } from 'rollup'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import webpack from 'webpack'
import { temporaryFolder } from '../support/paths.js'
import { run } from '../support/process.js'
import { appAsJavaScript, installed, OVER_BOTH, type Project, plain, tuple } from './project.js'

type Format = 'esm' | 'cjs'
type Bundle = (entry: string, outfile: string, format: Format) => Promise<void>

const BUNDLERS: Readonly<Record<string, Bundle>> = {
  esbuild: async (entry, outfile, format) => {
    const { warnings } = await build({
      entryPoints: [entry],
      outfile,
      format,
      bundle: true,
      platform: 'node',
      logLevel: 'silent',
    })
    expect(warnings).toEqual([])
  },
  rollup: async (entry, outfile, format) => {
    const warnings: string[] = []
    const bundle = await rollup({
      input: entry,
      plugins: [
        plugin('node-resolve', { preferBuiltins: true }),
        plugin('commonjs'),
        plugin('json'),
      ],
      external: /^node:/,
      onwarn: ({ code, message }) => code !== 'CIRCULAR_DEPENDENCY' && warnings.push(message),
    })
    await bundle.write({ file: outfile, format, inlineDynamicImports: true })
    await bundle.close()
    expect(warnings).toEqual([])
  },
  webpack: async (entry, outfile, format) => {
    const at = outfile.lastIndexOf('/')
    const esm = format === 'esm'
    const stats = await new Promise<webpack.Stats | undefined>((done, fail) => {
      const compiler = webpack({
        mode: 'production',
        // It takes a minute, and tells nothing about mcbn.
        optimization: { minimize: false },
        target: 'node20',
        entry,
        experiments: { outputModule: esm },
        output: {
          path: outfile.slice(0, at),
          filename: outfile.slice(at + 1),
          ...(esm ? { module: true, library: { type: 'module' } } : {}),
        },
      })
      compiler?.run((error, result) => (error ? fail(error) : done(result)))
    })
    expect(stats?.toJson({ all: false, errors: true, warnings: true })).toMatchObject({
      errors: [],
      warnings: [],
    })
  },
}

/** Their types are those of a module of CommonJS with a default export, which TypeScript cannot call. */
function plugin(name: string, options = {}): InputPluginOption {
  const make = createRequire(import.meta.url)(`@rollup/plugin-${name}`)
  return make(options) as InputPluginOption
}

const CONSENT = `
  import * as consent from 'mcbn/consent'
  const { sharedObjects } = process.report.getReport()
  const addon = sharedObjects.some((file) => /mcbn[^/]*\\.node$/.test(file))
  console.log(typeof consent.join, typeof consent.createParticipant, addon)`

describe('package/bundlers', { timeout: 240_000 }, () => {
  let project: Project
  beforeAll(async () => {
    project = await installed()
    writeFileSync(join(project.folder, 'main.mjs'), appAsJavaScript())
    writeFileSync(join(project.folder, 'consent.mjs'), CONSENT)
  }, 240_000)
  afterAll(() => project?.[Symbol.dispose]())

  const cases = Object.keys(BUNDLERS).flatMap((name) => [
    [name, 'esm'] as const,
    [name, 'cjs'] as const,
  ])
  it.each(cases)(
    '%s, %s: runs with prebuilds beside it, or with MCBN_ADDON; else says so',
    async (name, format) => {
      const above = temporaryFolder()
      const folder = join(above, 'home', 'out')
      const file = join(folder, format === 'esm' ? 'main.mjs' : 'main.cjs')
      // Where the package would have it. Others may write there: it is not even opened.
      for (const planted of ['build/Release/mcbn.node', `prebuilds/${tuple}/mcbn.node`]) {
        mkdirSync(dirname(join(above, planted)), { recursive: true })
        writeFileSync(join(above, planted), 'planted')
      }
      await BUNDLERS[name]?.(join(project.folder, 'main.mjs'), file, format)
      const addon = join(folder, 'elsewhere', 'mcbn.node')
      mkdirSync(join(folder, 'elsewhere'), { recursive: true })
      cpSync(project.addon, addon)

      // A bundler may have written down where the package is on this machine; there is nothing on another.
      renameSync(join(project.mcbn, 'prebuilds'), join(project.mcbn, 'away'))
      onTestFinished(() => renameSync(join(project.mcbn, 'away'), join(project.mcbn, 'prebuilds')))
      const alone = await start(file)
      expect(alone['code'], JSON.stringify(alone)).toBe('MCBN_ADDON_UNAVAILABLE')
      expect(alone['message']).toMatch(/no compiled addon for .*(prebuilds beside|npm rebuild)/)
      expect(await start(file, { MCBN_ADDON: addon })).toEqual(OVER_BOTH)
      cpSync(join(project.mcbn, 'away'), join(folder, 'prebuilds'), { recursive: true })
      expect(await start(file)).toEqual(OVER_BOTH)
    },
  )

  it.each(Object.keys(BUNDLERS))(
    '%s: mcbn/consent becomes an ES module that loads no addon',
    async (name) => {
      const file = join(temporaryFolder(), 'consent.mjs')
      await BUNDLERS[name]?.(join(project.folder, 'consent.mjs'), file, 'esm')
      const child = await run(process.execPath, [file], { foreign: true, env: plain })
      expect(child.stdout, child.report()).toBe('function function false\n')
    },
  )
})

async function start(file: string, env = {}): Promise<Record<string, unknown>> {
  const child = await run(process.execPath, [file], { foreign: true, env: { ...plain, ...env } })
  expect(child.stdout, child.report()).toMatch(/^\{.*\}\n$/)
  return JSON.parse(child.stdout)
}
