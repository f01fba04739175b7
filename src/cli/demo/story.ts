// The story that `mcbn demo` tells, as steps: each is asserted, and the next one builds on it.

import type { Stage } from './stage.js'
import type { Step } from './steps.js'
import { ATTACK_STEPS } from './story-attacks.js'
import { CONSENT_STEPS } from './story-consent.js'
import { END_STEPS } from './story-ends.js'

export const STORY: readonly Step<Stage>[] = [...CONSENT_STEPS, ...ATTACK_STEPS, ...END_STEPS]
