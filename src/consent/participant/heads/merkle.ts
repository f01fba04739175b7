// Merkle trees of logs that only grow (RFC 6962 section 2.1; the checks are those of RFC 9162 section 2.1).
// Sizes are integers up to 2^53, so halves are taken by division and not by shifts.

import { createHash } from 'node:crypto'

/** RFC 6962 section 2.1: leaves and nodes are hashed apart, so that none passes for the other. */
export function leafHash(leaf: Uint8Array): Buffer {
  return createHash('sha256').update(Buffer.of(0)).update(leaf).digest()
}

function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return createHash('sha256').update(Buffer.of(1)).update(left).update(right).digest()
}

/** The root of a tree without leaves. */
export const EMPTY_ROOT = createHash('sha256').digest()

/** RFC 9162 section 2.1.3.2: whether a leaf is at `index` of a tree of `size` leaves with this root. */
export function isIncluded(
  leaf: Buffer,
  index: number,
  size: number,
  path: readonly Buffer[],
  root: Buffer,
): boolean {
  if (index >= size) return false
  let at = index
  let last = size - 1
  let hash = leaf
  for (const sibling of path) {
    if (last === 0) return false
    if (isOdd(at) || at === last) {
      hash = nodeHash(sibling, hash)
      while (!isOdd(at) && at !== 0) [at, last] = [half(at), half(last)]
    } else {
      hash = nodeHash(hash, sibling)
    }
    ;[at, last] = [half(at), half(last)]
  }
  return last === 0 && hash.equals(root)
}

/** RFC 9162 section 2.1.4.2: whether the second tree is the first with leaves added behind. */
export function isConsistent(first: TreeHead, second: TreeHead, path: readonly Buffer[]): boolean {
  if (first.size > second.size) return false
  if (first.size === second.size) return path.length === 0 && first.root.equals(second.root)
  if (first.size === 0) return path.length === 0 && first.root.equals(EMPTY_ROOT)
  const steps = isPowerOfTwo(first.size) ? [first.root, ...path] : [...path]
  const begin = steps.shift()
  if (begin === undefined || path.length === 0) return false
  let at = first.size - 1
  let last = second.size - 1
  while (isOdd(at)) [at, last] = [half(at), half(last)]
  let old = begin
  let now = begin
  for (const step of steps) {
    if (last === 0) return false
    if (isOdd(at) || at === last) {
      old = nodeHash(step, old)
      now = nodeHash(step, now)
      while (!isOdd(at) && at !== 0) [at, last] = [half(at), half(last)]
    } else {
      now = nodeHash(now, step)
    }
    ;[at, last] = [half(at), half(last)]
  }
  return last === 0 && old.equals(first.root) && now.equals(second.root)
}

export interface TreeHead {
  readonly size: number
  readonly root: Buffer
}

/** A tree that is read from its beginning: of what was read only the whole subtrees' hashes are kept. */
export class GrowingTree {
  readonly #subtrees: { readonly size: number; readonly hash: Buffer }[] = []
  #size = 0

  /** @param hashes - as {@link hashes} gave them. @returns `undefined` where they do not belong to the size. */
  static of(size: number, hashes: readonly Buffer[]): GrowingTree | undefined {
    const tree = new GrowingTree()
    let rest = size
    for (const hash of hashes) {
      const part = 2 ** Math.floor(Math.log2(rest))
      if (rest === 0) return undefined
      tree.#subtrees.push({ size: part, hash })
      rest -= part
    }
    tree.#size = size
    return rest === 0 ? tree : undefined
  }

  get size(): number {
    return this.#size
  }

  /** The largest subtree first. */
  get hashes(): readonly Buffer[] {
    return this.#subtrees.map(({ hash }) => hash)
  }

  get root(): Buffer {
    const [last, ...others] = this.#subtrees.toReversed()
    return others.reduce((root, { hash }) => nodeHash(hash, root), last?.hash ?? EMPTY_ROOT)
  }

  add(leaf: Buffer): void {
    this.#subtrees.push({ size: 1, hash: leaf })
    this.#size += 1
    for (;;) {
      const [left, right] = this.#subtrees.slice(-2)
      if (left === undefined || right === undefined || left.size !== right.size) return
      const joined = { size: 2 * left.size, hash: nodeHash(left.hash, right.hash) }
      this.#subtrees.splice(-2, 2, joined)
    }
  }
}

function half(number: number): number {
  return Math.floor(number / 2)
}

function isOdd(number: number): boolean {
  return number % 2 === 1
}

function isPowerOfTwo(number: number): boolean {
  return Number.isInteger(Math.log2(number)) && 2 ** Math.log2(number) === number
}
