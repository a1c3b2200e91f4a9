/** Views that the reader gave a name to; kept in this browser. */

export type Saved = { page: string; filter: string; time: string };

const KEY = "clew.views";

export function readSaved(): Record<string, Saved> {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}") as Record<string, Saved>;
  } catch {
    return {};
  }
}

export function save(name: string, saved: Saved): void {
  write({ ...readSaved(), [name]: saved });
}

export function forget(name: string): void {
  write(Object.fromEntries(Object.entries(readSaved()).filter(([other]) => other !== name)));
}

function write(views: Record<string, Saved>): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(views));
  } catch {
    // storage is off or full: nothing is kept
  }
}
