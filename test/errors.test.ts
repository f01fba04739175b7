import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { MCBN_ERROR_KINDS, McbnError, type McbnErrorCode } from '../src/errors.js'

describe('errors', () => {
  const cause = new TypeError('the reason', { cause: { secret: 'from elsewhere' } })
  const error = new McbnError('MCBN_PSK_MISMATCH', 'expected this, got that', {
    cause,
    alert: 'decrypt_error',
  })

  it('has a code, and the kind that belongs to it', () => {
    for (const [code, kind] of Object.entries(MCBN_ERROR_KINDS)) {
      expect(new McbnError(code as McbnErrorCode, 'x')).toMatchObject({ code, kind })
    }
    expect(error).toBeInstanceOf(Error)
    expect(error.name).toBe('McbnError')
  })

  it('carries the cause, and has none where none was given', () => {
    expect(error.cause).toBe(cause)
    expect('cause' in new McbnError('MCBN_INTERNAL', 'x')).toBe(false)
    expect('cause' in new McbnError('MCBN_INTERNAL', 'x', { cause: undefined })).toBe(true)
  })

  it('shows name, message and code in inspect and in the stack, each once', () => {
    const shown = inspect(new McbnError('MCBN_OPTION_RANGE', 'expected this, got that'))
    expect(shown).toMatch(/^McbnError: expected this, got that\n/)
    expect(shown).toContain("code: 'MCBN_OPTION_RANGE'")
    expect(shown).not.toContain('alert')
    expect(shown).not.toContain('name:')
  })

  it('shows what happened in JSON, and nothing that belongs to others', () => {
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      name: 'McbnError',
      code: 'MCBN_PSK_MISMATCH',
      kind: 'peer',
      message: 'expected this, got that',
      alert: 'decrypt_error',
    })
  })

  it('has optional fields only when they are known', () => {
    const bare = new McbnError('MCBN_SHARE_INVALID', 'x', { alert: undefined, line: undefined })
    expect(Object.keys(bare)).toEqual(['code', 'kind'])
    const blamed = new McbnError('MCBN_SHARE_INVALID', 'x', { participant: 'carol' })
    expect(blamed.participant).toBe('carol')
  })
})
