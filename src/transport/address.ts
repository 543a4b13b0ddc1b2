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
