import type { Socket } from "node:net";

/** "127.0.0.1:50312" or "[::1]:50312"; IPv4-mapped addresses as IPv4, the way users write them in rules. */
export function formatAddress(host: string, port: number): string {
  const plain = unmapped(host);
  return plain.includes(":") ? `[${plain}]:${port}` : `${plain}:${port}`;
}

/** Only this host can have sent from such an address: 127.0.0.0/8, ::1, and the former in IPv6's clothes. */
export function isLoopback(host: string): boolean {
  const plain = unmapped(host);
  return plain === "::1" || /^127(\.\d{1,3}){3}$/.test(plain);
}

function unmapped(host: string): string {
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(host) ? host.slice("::ffff:".length) : host;
}

/** Of connections without an address, as those of Unix sockets are. */
const places = new WeakMap<object, string>();

/** What `placeOf` says of a connection that has no address; nobody else's. */
export function setPlace(socket: Socket, place: string): void {
  places.set(socket, place);
}

/**
 * Where a connection comes from, which tells it from all others: "192.168.1.7:50312"; "" when the peer is gone. That of TLS
 * is the one of the connection beneath it, which alone knows it when it is gone, or has no address.
 */
export function placeOf(socket: Socket): string {
  const { remoteAddress, remotePort } = beneath(socket);
  if (remoteAddress !== undefined && remotePort !== undefined) return formatAddress(remoteAddress, remotePort);
  return places.get(socket) ?? places.get(beneath(socket)) ?? "";
}

/** The connection that carries one of TLS, which has asked the system for its address already; else the same. */
export function beneath(socket: Socket): Socket {
  // Not a public property.
  return (socket as { _parent?: Socket | null })._parent ?? socket;
}
