import { type Answer, check, send } from './http-row.ts';
import { locate } from './oci-content.ts';

/** Follows the Link headers from `path` on and gives the answers. */
export async function follow(base: string, path: string): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (let next: string | undefined = path; next !== undefined; ) {
    const answer = await send(base + next);
    check(answer, { status: 200 });
    answers.push(answer);
    const link: string | undefined = /^<([^>]+)>; rel="next"$/.exec(
      String(answer.headers.link ?? ''),
    )?.[1];
    next = link && locate(base, link).slice(base.length);
  }
  return answers;
}
