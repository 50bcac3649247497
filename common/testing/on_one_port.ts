/** For tests of services that listen for datagrams and connections on one number. */

/**
 * Opens datagrams on any free port of loopback and a server on the same one. A port that is free for the one may be
 * taken for the other: both are opened anew then.
 */
export function onOnePort<D extends Disposable & { readonly port: number }, S>(
  datagrams: (at: { hostname: string; port: number }) => D,
  server: (at: { hostname: string; port: number }) => S,
): [D, S] {
  const hostname = "127.0.0.1";
  for (;;) {
    const first = datagrams({ hostname, port: 0 });
    try {
      return [first, server({ hostname, port: first.port })];
    } catch (error) {
      first[Symbol.dispose]();
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}
