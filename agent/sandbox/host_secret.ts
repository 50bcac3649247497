/**
 * The host's secret and what is derived from it. A guest's token is a function of the secret and of a token id that is
 * no secret itself, so that no token is written down anywhere: who has a record or a snapshot cannot open its guest.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import { join } from "node:path";
import { Buffer } from "node:buffer";
import { ConfigError } from "@wrenn/common";

const BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = "aes-256-gcm";

/** Derives keys by HMAC-SHA256 and seals texts by AES-256-GCM. */
export class HostSecret {
  readonly #secret: Buffer;

  /** @param secret 32 random bytes. */
  constructor(secret: Uint8Array) {
    this.#secret = Buffer.from(secret);
  }

  /** Reads the secret of a data folder, making it at the first start. @throws {ConfigError} When it is damaged. */
  static async load(dataDir: string): Promise<HostSecret> {
    const path = join(dataDir, "host-secret");
    const known = await Deno.readFile(path).catch((error: unknown) => {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    });
    if (known) {
      if (known.length === BYTES) return new HostSecret(known);
      throw new ConfigError(`Wrong configuration: WRENN_DATA_DIR: '${path}' holds no secret`);
    }
    const made = randomBytes(BYTES);
    {
      using file = await Deno.open(`${path}.new`, {
        create: true,
        write: true,
        truncate: true,
        mode: 0o600,
      });
      await file.write(new Uint8Array(made));
      await file.sync();
    }
    await Deno.rename(`${path}.new`, path);
    return new HostSecret(made);
  }

  /** The token of the guest that was given this token id: 64 hex digits. */
  token(tokenId: string): string {
    return this.#derive(`guest-token:${tokenId}`).toString("hex");
  }

  /** The machine id (machine-id(5)) of a sandbox, the same in all its lives: 32 hex digits. */
  machineId(sandboxId: string): string {
    return this.#derive(`machine-id:${sandboxId}`).toString("hex").slice(0, 32);
  }

  /** Seals a text, so that a file can hold it. `purpose` must be given again to open it. */
  seal(text: string, purpose: string): string {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv(CIPHER, this.#derive(`seal:${purpose}`), iv);
    const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
    return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString("base64");
  }

  /** Opens what {@linkcode seal} made. @throws {Error} When it was changed or sealed elsewhere. */
  open(sealed: string, purpose: string): string {
    const bytes = Buffer.from(sealed, "base64");
    const decipher = createDecipheriv(
      CIPHER,
      this.#derive(`seal:${purpose}`),
      bytes.subarray(0, IV_BYTES),
    );
    decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
    const text = decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES));
    return Buffer.concat([text, decipher.final()]).toString("utf8");
  }

  #derive(purpose: string): Buffer {
    return createHmac("sha256", this.#secret).update(purpose).digest();
  }
}
