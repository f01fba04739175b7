// src/ becomes dist/, in one step: a reader of dist/ sees the old one or the new one.
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { copyPage } from './copy-page.mjs'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const source = join(root, 'src')
const dist = join(root, 'dist')
const command = join(dist, 'cli', 'main.js')

/**
 * @param {{ check?: boolean }} [how] - `check: false` leaves types unchecked, which takes half the time.
 * @throws {Error} when the compiler is not installed, or refuses the sources (it has said why).
 */
export function compile({ check = true } = {}) {
  const compiler = typescript()
  if (compiler === undefined) throw new Error('typescript is not installed here: run "npm ci"')
  const began = new Date()
  const made = `${dist}.${process.pid}`
  const args = [
    compiler,
    '-p',
    'tsconfig.build.json',
    '--outDir',
    made,
    ...(check ? [] : ['--noCheck']),
  ]
  try {
    const { status, error } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' })
    if (status !== 0) throw new Error(`dist/ was not built: tsc ended with ${error ?? status}`)
    copyPage(source, made)
    const main = join(made, 'cli', 'main.js')
    // So that a linked or directly run command works; npm sets the bit only when it installs.
    chmodSync(main, 0o755)
    // As old as the sources that were read: what is edited meanwhile is newer.
    utimesSync(main, began, began)
    // Two renames: removing takes a moment, in which somebody might start the command.
    const old = `${made}.old`
    if (existsSync(dist)) renameSync(dist, old)
    renameSync(made, dist)
    rmSync(old, { recursive: true, force: true })
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
}

/** Whether nothing in src/ has changed, come or gone since dist/ was made. */
export function isCurrent() {
  if (!existsSync(command)) return false
  const made = statSync(command).mtimeMs
  const entries = readdirSync(source, { recursive: true, withFileTypes: true })
  const paths = [
    source,
    ...entries.map((entry) => join(entry.parentPath ?? entry.path, entry.name)),
  ]
  return paths.every((path) => statSync(path).mtimeMs < made)
}

/** The compiler's path; undefined where only run-time dependencies are installed. */
export function typescript() {
  try {
    return createRequire(import.meta.url).resolve('typescript/bin/tsc')
  } catch {
    return undefined
  }
}
