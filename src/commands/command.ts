import { type ParseArgsConfig, parseArgs } from 'node:util';
import { didYouMean } from '../config/suggest.ts';

export type Options = NonNullable<ParseArgsConfig['options']>;
export type OptionValues = Record<string, string | boolean | (string | boolean)[] | undefined>;

/** One command of the command line. New ones are added to the table in main.ts. */
export interface Command {
  name: string;
  /** What it does, in one line. */
  summary: string;
  /** What follows the name: `[config]`. */
  usage: string;
  /** Options in the form of node:util's parseArgs. */
  options: Options;
  /** One line for each option. */
  optionHelp: Record<string, string>;
  /** How many operands it takes at most. */
  operands: number;
  /** Gives the exit code. A thrown UsageError is told with the usage, any other error by its message. */
  run(operands: string[], options: OptionValues): Promise<number>;
}

/** The commands of a program by name, each loaded when it is called for: a server starts without the rest. */
export type CommandTable = Readonly<Record<string, () => Promise<Command>>>;

/** The command line can't be understood; the message says what would be right. */
export class UsageError extends Error {}

/** Runs the command that `words` name, out of `commands`. Gives the exit code. */
export async function runCommandLine(
  program: string,
  version: string,
  about: string,
  commands: CommandTable,
  words: readonly string[],
): Promise<number> {
  const [name, ...rest] = words;
  if (name === '--version' || name === '-v' || name === '-V') return print(`${version}\n`);
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const command = await load(commands, rest[0]);
    if (command !== undefined) return print(helpOf(program, command));
    const all = await Promise.all(Object.values(commands).map((each) => each()));
    return print(overview(program, about, all));
  }
  const command = await load(commands, name);
  if (command === undefined) {
    return complain(unknownCommand(program, name, Object.keys(commands)));
  }
  try {
    const { operands, options } = parse(command, rest);
    if (options.help === true) return print(helpOf(program, command));
    return await command.run(operands, options);
  } catch (error) {
    const usage = error instanceof UsageError ? `\nusage: ${usageOf(program, command)}` : '';
    return complain(`${error instanceof Error ? error.message : String(error)}${usage}`);
  }
}

async function load(
  commands: CommandTable,
  name: string | undefined,
): Promise<Command | undefined> {
  return name !== undefined && Object.hasOwn(commands, name) ? commands[name]?.() : undefined;
}

function parse(command: Command, words: string[]): { operands: string[]; options: OptionValues } {
  const options: Options = { ...command.options, help: { type: 'boolean', short: 'h' } };
  let parsed: { values: OptionValues; positionals: string[] };
  try {
    parsed = parseArgs({ args: words, options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(explain(error as NodeJS.ErrnoException, Object.keys(options)));
  }
  if (parsed.positionals.length > command.operands) {
    throw new UsageError(`unexpected "${parsed.positionals[command.operands]}"`);
  }
  return { operands: parsed.positionals, options: parsed.values };
}

function explain(error: NodeJS.ErrnoException, known: string[]): string {
  const option = /'(--?[^' ]+)/.exec(error.message)?.[1] ?? '';
  if (error.code !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION') return error.message;
  return `unknown option ${option}${didYouMean(
    option,
    known.map((each) => `--${each}`),
  )}`;
}

function unknownCommand(program: string, name: string, names: readonly string[]): string {
  return `unknown command "${name}"${didYouMean(name, names)}\ncommands: ${names.join(', ')}; see ${program} --help`;
}

function overview(program: string, about: string, commands: readonly Command[]): string {
  const width = Math.max(...commands.map((each) => `${each.name} ${each.usage}`.length));
  const lines = commands.map(
    (each) => `  ${`${each.name} ${each.usage}`.padEnd(width)}   ${each.summary}`,
  );
  return `${about}\n\nusage: ${program} COMMAND [OPTIONS]\n\n${lines.join('\n')}\n\n${program} COMMAND --help tells more; ${program} --version says which version this is.\n`;
}

function helpOf(program: string, command: Command): string {
  const options = Object.entries(command.options).map(([name, { short }]) => {
    const names = `${short === undefined ? '    ' : `-${short}, `}--${name}`;
    return `  ${names.padEnd(28)}${command.optionHelp[name] ?? ''}`;
  });
  return [`${command.summary}\n`, `usage: ${usageOf(program, command)}`, ...options]
    .join('\n')
    .concat('\n');
}

function usageOf(program: string, command: Command): string {
  return `${program} ${command.name} ${command.usage}`.trim();
}

export function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

export function complain(text: string): number {
  process.stderr.write(`${text}\n`);
  return 1;
}
