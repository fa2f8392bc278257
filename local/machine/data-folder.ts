/**
 * The folder that a run's PostgreSQL keeps its data in: the run folder's own, or one that a person named and uses again.
 *
 *   sluice-data.json   format, major version of PostgreSQL, passwords, whether it was made to the end
 *   in-use.json        which run has it open
 *   .gitignore         keeps git from all of it
 *   postgres/          PostgreSQL's data folder, open to the server's user alone
 *
 * Holds always: nothing is written to a folder that holds anything but this; what was not made to the end is made
 * anew, for no one can have stored anything in it; one run has it open at a time.
 */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { judgeOwner, type OwnerIdentity, ownerIdentitySchema, ownIdentity } from './run-folder.ts';
import { canEnter, type ServerUser, serverUser } from './server-user.ts';
import { hasCode } from './system-error.ts';

const DATA_FILE = 'sluice-data.json';
const IN_USE_FILE = 'in-use.json';
const IGNORE_FILE = '.gitignore';
const POSTGRES_FOLDER = 'postgres';
/** Without it PostgreSQL takes a folder for none of its own. */
const CONTROL_FILE = 'global/pg_control';
/** Raised when a newer Sluice can no longer use what an older one wrote. */
const DATA_FORMAT = 1;
/** Enough names to recognise a folder by. */
const NAMES_SHOWN = 3;

const formatSchema = z.object({ format: z.int() });

const dataSchema = formatSchema.extend({
  complete: z.boolean(),
  postgresMajor: z.int(),
  superuserPassword: z.string(),
  password: z.string(),
});

type Data = z.infer<typeof dataSchema>;

export class DataFolder {
  readonly path: string;
  /** Whom PostgreSQL runs as on this data; undefined means as oneself. */
  readonly user: ServerUser | undefined;
  #data: Data;

  constructor(path: string, data: Data, user: ServerUser | undefined) {
    this.path = path;
    this.user = user;
    this.#data = data;
  }

  get postgresPath(): string {
    return join(this.path, POSTGRES_FOLDER);
  }

  /** False until everything in it was made: then it has to be made, in an empty `postgresPath`. */
  get isComplete(): boolean {
    return this.#data.complete;
  }

  get superuserPassword(): string {
    return this.#data.superuserPassword;
  }

  get password(): string {
    return this.#data.password;
  }

  markComplete(): void {
    this.#data = { ...this.#data, complete: true };
    writeData(this.path, this.#data);
  }

  /** Lets other runs have it; to be called when its server has ended. */
  release(): void {
    rmSync(join(this.path, IN_USE_FILE), { force: true });
  }
}

/**
 * Opens a data folder, or makes it where there is none.
 *
 * @param folder absent, empty, or a data folder
 * @param postgresMajor major version of the PostgreSQL that is to run on it
 * @throws Error in one sentence, when it holds something else, is in use, is of another version or cannot be reached.
 */
export function openDataFolder(folder: string, postgresMajor: number): DataFolder {
  const path = resolve(folder);
  const names = namesIn(path);
  if (names.length > 0 && !names.includes(DATA_FILE)) {
    const shown = names.slice(0, NAMES_SHOWN).join(', ') + (names.length > NAMES_SHOWN ? ', …' : '');
    throw new Error(
      `${path} holds something else (${shown}), so no data is put there. Name an empty folder or a new one.`,
    );
  }
  const made = names.includes(DATA_FILE) ? readData(path, postgresMajor) : undefined;
  const user = serverUserOf(path);
  takeFolder(path);
  const data = made?.complete ? made : freshData(postgresMajor);
  if (!data.complete) {
    writeData(path, data);
    // Passwords and a customer's data: a folder inside a checkout must not be committed by an `add --all`.
    writeFileSync(join(path, IGNORE_FILE), '*\n');
    makePostgresFolder(join(path, POSTGRES_FOLDER), user);
  }
  return new DataFolder(path, data, user);
}

function namesIn(path: string): string[] {
  try {
    makeFolders(path);
    return readdirSync(path);
  } catch (error) {
    if (hasCode(error, 'EEXIST', 'ENOTDIR')) {
      throw new Error(`${path} is a file, and data needs a folder. Name another place.`, { cause: error });
    }
    if (hasCode(error, 'EACCES', 'EPERM', 'EROFS')) {
      throw new Error(`${path} cannot be used: you may not read or write there. Name a folder of your own.`, {
        cause: error,
      });
    }
    throw new Error(`${path} cannot be used as the data folder. Name another place.`, { cause: error });
  }
}

/** The server's user must reach its data through folders that are made here, whatever the umask. */
function makeFolders(path: string): void {
  const mode = serverUser() === undefined ? 0o700 : 0o711;
  const firstMade = mkdirSync(path, { recursive: true, mode });
  if (firstMade === undefined) return;
  for (let made = path; made.length >= firstMade.length; made = dirname(made)) chmodSync(made, mode);
}

function readData(path: string, postgresMajor: number): Data {
  const unreadable = (cause: unknown) =>
    new Error(`${join(path, DATA_FILE)} cannot be read. Name another folder, or remove this one if its data can go.`, {
      cause,
    });
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(join(path, DATA_FILE), 'utf8'));
  } catch (error) {
    throw unreadable(error);
  }
  const format = formatSchema.safeParse(content);
  if (format.data !== undefined && format.data.format !== DATA_FORMAT) {
    const age = format.data.format < DATA_FORMAT ? 'an older' : 'a newer';
    throw new Error(
      `${path} was written by ${age} Sluice (data format ${format.data.format}; this one reads ${DATA_FORMAT}). Use the Sluice that wrote it, or name an empty folder.`,
    );
  }
  const data = dataSchema.safeParse(content);
  if (data.error) throw unreadable(data.error);
  const writtenBy = writtenByMajor(path) ?? data.data.postgresMajor;
  if (data.data.complete && writtenBy !== postgresMajor) {
    throw new Error(
      `${path} was written by PostgreSQL ${writtenBy}; this Sluice runs ${postgresMajor}, which cannot read it. Take the data out with that version's pg_dump, or name an empty folder.`,
    );
  }
  if (data.data.complete && isMissing(join(path, POSTGRES_FOLDER, CONTROL_FILE))) {
    throw new Error(
      `${path} is damaged: ${POSTGRES_FOLDER}/${CONTROL_FILE} is missing. Put the folder back from a copy, or name another folder.`,
    );
  }
  return data.data;
}

/** What may not be looked at may be there. */
function isMissing(file: string): boolean {
  try {
    return lstatSync(file, { throwIfNoEntry: false }) === undefined;
  } catch {
    return false;
  }
}

/** What PostgreSQL itself says of its data. */
function writtenByMajor(path: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(join(path, POSTGRES_FOLDER, 'PG_VERSION'), 'utf8'), 10);
  } catch {
    return undefined;
  }
}

/** Data that an ordinary user wrote stays theirs when root opens it. */
function serverUserOf(path: string): ServerUser | undefined {
  const user = serverUser();
  if (user === undefined) return undefined;
  const owner = lstatSync(join(path, POSTGRES_FOLDER), { throwIfNoEntry: false });
  const chosen = owner === undefined || owner.uid === 0 ? user : { uid: owner.uid, gid: owner.gid };
  if (!canEnter(path, chosen)) {
    throw new Error(
      `${path} cannot be entered by user ${chosen.uid}, as whom PostgreSQL runs because it refuses to run as root. Name a folder that others may enter, such as one below /var/tmp.`,
    );
  }
  return chosen;
}

function takeFolder(path: string): void {
  const file = join(path, IN_USE_FILE);
  const inUseBy = readInUse(file);
  const state = inUseBy === undefined ? 'dead' : judgeOwner(inUseBy);
  if (inUseBy !== undefined && state === 'running') {
    throw new Error(
      `${path} is in use by the run of process ${inUseBy.pid}, started at ${inUseBy.startedAt}. Stop that run, or name another folder.`,
    );
  }
  if (inUseBy !== undefined && state === 'unknown') {
    throw new Error(
      `${path} is marked as in use since ${inUseBy.startedAt} by a run in another container. Stop that run; if it has ended already, remove ${file}.`,
    );
  }
  rmSync(file, { force: true });
  try {
    writeFileSync(file, JSON.stringify(ownIdentity(), undefined, 2), { flag: 'wx', mode: 0o600 });
  } catch (error) {
    // Two runs that pass here at once are parted by PostgreSQL's own lock at the latest.
    if (!hasCode(error, 'EEXIST')) throw error;
    throw new Error(`${path} is being taken by another run at this moment. Name another folder.`, { cause: error });
  }
}

function readInUse(file: string): OwnerIdentity | undefined {
  try {
    return ownerIdentitySchema.safeParse(JSON.parse(readFileSync(file, 'utf8'))).data;
  } catch {
    return undefined;
  }
}

function freshData(postgresMajor: number): Data {
  const password = () => randomBytes(12).toString('base64url');
  return { format: DATA_FORMAT, complete: false, postgresMajor, superuserPassword: password(), password: password() };
}

function writeData(path: string, data: Data): void {
  const file = join(path, DATA_FILE);
  writeFileSync(`${file}.new`, JSON.stringify(data, undefined, 2), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

function makePostgresFolder(path: string, user: ServerUser | undefined): void {
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { mode: 0o700 });
  if (user !== undefined) chownSync(path, user.uid, user.gid);
  chmodSync(path, 0o700);
}
