import { type Server, Socket } from "node:net";

/** Who takes what was read; set when the link exists. */
export interface Reader {
  receive(bytes: Uint8Array, start: number, end: number): void;
}

/** What libuv's server handle looks like from inside Node.js. Not a public interface: every use is checked. */
interface ServerHandle {
  onconnection: (this: ServerHandle, error: number | undefined, handle: SocketHandle | undefined) => void;
}
interface SocketHandle {
  readStart: () => number;
}

/** As large as libuv's own suggestion for a read. */
const RECEIVE_BYTES = 64 * 1024;
/** One for all sockets: its contents are only valid during `receive`, and sockets are read one after the other. */
const RECEIVED = Buffer.allocUnsafeSlow(RECEIVE_BYTES);
/** The same memory as a plain array: views and copies of a Buffer go through slower methods of its own. */
const RECEIVED_BYTES = new Uint8Array(RECEIVED.buffer, RECEIVED.byteOffset, RECEIVED.length);

/** What servers did before. */
const usually = new WeakMap<ServerHandle, ServerHandle["onconnection"]>();

/**
 * Has every socket of a listening `server` read into one buffer, instead of allocating 64 KiB for each read.
 *
 * `onread` is public for outgoing connections only; for accepted ones the socket must be made from the accepted
 * handle. Returns false, having changed nothing, when this Node.js has no such handles: then 'connection' events come.
 * `accepted` returns who takes the bytes, undefined when the socket was refused and destroyed.
 */
export function shareReads(server: Server, accepted: (socket: Socket) => Reader | undefined): boolean {
  const handle = (server as unknown as { _handle?: ServerHandle })._handle;
  if (typeof handle?.onconnection !== "function") return false;
  const usual = handle.onconnection;
  usually.set(handle, usual);
  handle.onconnection = function (error, client) {
    if (error || typeof client?.readStart !== "function") {
      usual.call(this, error, client);
      return;
    }
    let reader: Reader | undefined;
    const onread = {
      buffer: RECEIVED,
      callback: (size: number): boolean => {
        reader?.receive(RECEIVED_BYTES, 0, size);
        return true;
      },
    };
    const options = { handle: client, allowHalfOpen: true, onread };
    const socket = new Socket(options);
    reader = accepted(socket);
  };
  return true;
}

/** Has the sockets that come from now on read as usual, with 'connection' events. */
export function unshareReads(server: Server): void {
  const handle = (server as unknown as { _handle?: ServerHandle })._handle;
  const usual = handle && usually.get(handle);
  if (handle !== undefined && usual !== undefined) handle.onconnection = usual;
}
