/** Tables of device-mapper devices, as `dmsetup` reads them. */
import { CHUNK_SECTORS } from "./dm_cow.ts";

const SECTOR = 512;
const SECTORS_PER_MIB = 2048;

/** A base image on a loop device, followed by zeros up to the size of the disks over it. */
export function baseTable(loop: string, imageBytes: number, sizeMb: number): string {
  const all = sizeMb * SECTORS_PER_MIB;
  const image = Math.min(Math.floor(imageBytes / SECTOR), all);
  const lines = [`0 ${image} linear ${loop} 0`];
  if (image < all) lines.push(`${image} ${all - image} zero`);
  return lines.join("\n");
}

/** A layer that nobody writes over what is below it. */
export function frozenTable(below: string, cow: string, sizeMb: number): string {
  return snapshot(below, cow, sizeMb, "P");
}

/** A layer that is written; when its file is full it says so, and can still be read. */
export function writableTable(below: string, cow: string, sizeMb: number): string {
  return snapshot(below, cow, sizeMb, "PO");
}

function snapshot(below: string, cow: string, sizeMb: number, store: "P" | "PO"): string {
  return `0 ${sizeMb * SECTORS_PER_MIB} snapshot ${below} ${cow} ${store} ${CHUNK_SECTORS}`;
}
