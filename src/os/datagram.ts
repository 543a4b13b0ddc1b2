import { loadNative } from "./native.ts";

/** Sends one datagram to a Unix socket without waiting; a path that begins with "@" is an abstract name. Returns 0, or the errno of what failed. */
export type SendDatagram = (path: string, bytes: Uint8Array) => number;

let loaded: SendDatagram | undefined;

/** Loads the add-on `packaging/native/sd-notify.c` when it is first asked for. Throws an Error that says why that cannot be done. */
export function loadDatagrams(): SendDatagram {
  if (loaded === undefined) {
    const { send } = loadNative("sd-notify") as { send?: unknown };
    if (typeof send !== "function")
      throw new Error("The add-on sd-notify has no function send: it is of another version");
    loaded = send as SendDatagram;
  }
  return loaded;
}
