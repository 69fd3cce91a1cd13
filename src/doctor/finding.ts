/** What one look found out. */
export interface Diagnosis {
  /** What was looked at, in a few words. */
  what: string;
  verdict: 'ok' | 'warning' | 'problem' | 'skipped';
  /** What was seen. */
  seen: string;
  /** What to do about it; present with a warning or a problem. */
  fix?: string;
}

export function ok(what: string, seen: string): Diagnosis {
  return { what, verdict: 'ok', seen };
}

export function skipped(what: string, seen: string): Diagnosis {
  return { what, verdict: 'skipped', seen };
}

export function warning(what: string, seen: string, fix: string): Diagnosis {
  return { what, verdict: 'warning', seen, fix };
}

export function problem(what: string, seen: string, fix: string): Diagnosis {
  return { what, verdict: 'problem', seen, fix };
}

/** The lines that a person reads. */
export function describeDiagnosis({ what, verdict, seen, fix }: Diagnosis): string {
  const mark = { ok: 'ok     ', warning: 'WARNING', problem: 'PROBLEM', skipped: 'skipped' }[
    verdict
  ];
  return `${mark}  ${what}: ${seen}\n${fix === undefined ? '' : `         fix: ${fix}\n`}`;
}
