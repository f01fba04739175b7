// A workload's audit in the form of a participant's: one file, chained, with a fixed set of fields.

import type { AuditLog } from '../../consent/audit.js'
import type { WorkloadAudit } from '../../consent/workload/index.js'

export function workloadAudit(log: AuditLog): WorkloadAudit {
  return log
}
