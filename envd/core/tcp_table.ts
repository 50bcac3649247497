/** Established connections in the text of /proc/net/tcp and /proc/net/tcp6. */

/** One connection. */
export interface TcpConnection {
  /** The other end is this machine. */
  readonly loopback: boolean;
  readonly localPort: number;
}

const ESTABLISHED = "01";
/** 127.x.x.x and ::1 as words in the byte order of the machine, and the former mapped into IPv6. */
const LOOPBACK = /^(?:0000000000000000FFFF0000)?[0-9A-F]{6}7F$|^0{24}01000000$/;

/** Reads a table. */
export function parseConnections(text: string): TcpConnection[] {
  return text.split("\n").flatMap((line): TcpConnection[] => {
    const match = /^\s*\d+:\s+[0-9A-F]+:([0-9A-F]{4})\s+([0-9A-F]+):[0-9A-F]{4}\s+([0-9A-F]{2})\s/
      .exec(line);
    if (!match || match[3] !== ESTABLISHED) return [];
    return [{ loopback: LOOPBACK.test(match[2] ?? ""), localPort: parseInt(match[1] ?? "", 16) }];
  });
}
