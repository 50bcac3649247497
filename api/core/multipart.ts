/** The small grammar of multipart/form-data (RFC 7578, RFC 2046 5.1): its content type and part headers. */

/** The boundary of a `multipart/form-data` content type; undefined when there is none or it is malformed. */
export function boundaryOf(contentType: string): string | undefined {
  const match = /^multipart\/form-data\s*(?:;.*)?;\s*boundary=(?:"([^"\\]+)"|([^\s;"]+))/i
    .exec(contentType);
  const boundary = match?.[1] ?? match?.[2];
  // RFC 2046: 1 to 70 characters of this set, the last no space.
  return boundary !== undefined && /^[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]$/
      .test(boundary)
    ? boundary
    : undefined;
}

/** Name of the field in a part's header block; undefined when the part is no form-data part. */
export function partName(headers: string): string | undefined {
  for (const line of headers.split("\r\n")) {
    const disposition = /^content-disposition\s*:\s*form-data\s*(;.*)$/i.exec(line)?.[1];
    if (disposition === undefined) continue;
    const match = /;\s*name=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/i.exec(disposition);
    return match?.[1]?.replace(/\\(.)/g, "$1") ?? match?.[2];
  }
  return undefined;
}
